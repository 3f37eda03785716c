"""What running jobs use of the cache, so that nobody removes it from under them.

A claim is a shared lock on an entry's manifest. The kernel drops it when the process ends, however
it ends: after kill -9 nothing is left to be cleaned up. Where there is no `flock` (Windows) there
are no claims; files that are open there cannot be removed anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]


@dataclass
class _Job:
    name: str
    claims: dict[Path, int] = field(default_factory=dict)


_job: _Job | None = None  # of this process


@contextmanager
def working(name: str) -> Iterator[None]:
    """What this process takes from the cache while this lasts is claimed until it ends; what it
    makes is said to be `name`'s."""
    global _job
    before, _job = _job, _Job(name)
    try:
        yield
    finally:
        for descriptor in _job.claims.values():
            os.close(descriptor)
        _job = before


def job() -> str:
    """The name of the job that is working, "" when there is none."""
    return _job.name if _job else ""


def claim(manifest: Path) -> None:
    """Claim an entry for the job that is working, if there is one."""
    if _job is None or fcntl is None or manifest in _job.claims:
        return
    with suppress(OSError):  # a file system without locks
        descriptor = os.open(manifest, os.O_RDONLY)
        _job.claims[manifest] = descriptor
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def is_claimed(manifest: Path) -> bool:
    """Whether a job uses an entry, this process's own among them."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(manifest, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
