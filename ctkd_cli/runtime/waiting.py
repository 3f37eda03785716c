"""How torch's threads wait for each other. Set before torch is loaded: OpenMP reads it once."""

from __future__ import annotations

import os

POLICY = "OMP_WAIT_POLICY"
CHOICES = (POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # of GNU's and LLVM's OpenMP


def asleep() -> None:
    """Let threads sleep while they wait, unless the user has chosen.

    They spin otherwise, for up to a few milliseconds at each of thousands of meetings in a step.
    On cores that have other work, the one that is waited for then does not get on.
    """
    if not any(os.environ.get(name) for name in CHOICES):
        os.environ[POLICY] = "PASSIVE"
