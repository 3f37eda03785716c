"""Whether a loss still falls: said of it while a training goes on, and when it has ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STILL_FALLING = 0.05  # of all that was learnt, in the last fifth of the steps
FIFTHS = 5


def means_of_fifths(losses: Sequence[float]) -> list[float]:
    """[5], of a loss over a training's steps."""
    return [float(np.mean(part)) for part in np.array_split(np.asarray(losses), FIFTHS)]


def falls_no_more(fifths: Sequence[float], learnt: float) -> bool:
    """Whether the last fifth brought less than a twentieth of what was learnt in all."""
    return fifths[-2] - fifths[-1] <= STILL_FALLING * learnt
