"""How long a training lasts, and how its learning rate goes."""

from __future__ import annotations

import json
import time
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.runtime import parallel
from ctkd_cli.training.batches import FEWEST

if TYPE_CHECKING:
    from ctkd_cli.training.settings import Training

FIFTHS = 5
STILL_FALLING = 0.05  # of all that was learnt, in the last fifth of the steps
LEARNT = 0.25  # of the first fifth's loss, before which a training has hardly begun
EVERY = 10  # steps between two looks at the loss
LAST = 50  # steps that a training takes from when its loss has settled
LOSSES = "losses.json"  # in a checkpoint


class Budget:
    """The steps of one training. ends: with which step, for all that is known now; why: that is
    not the last one that was planned, "" where it is.

    With steps=auto a training whose loss has settled goes on for LAST steps, in which the learning
    rate falls to zero. The rule looks at the arm's own loss and nothing else, and is the same for
    every arm. max_seconds ends it by the clock, with a learning rate that has fallen too.
    """

    def __init__(self, training: Training, steps: int) -> None:
        self._planned = self.ends = steps
        self.why = ""
        self._settled = False
        self._training = training
        self._warmup = round(training.warmup * steps)
        self._losses: list[float] = []
        self._began = time.monotonic()
        self._since = 0  # the step after which that was

    def rate(self, step: int) -> float:
        """The share of the learning rate that a step has; steps count from 0."""
        if step < self._warmup:
            return step / max(1, self._warmup)
        if self._training.decay == "constant":
            return 1.0
        last = max(1, self.ends - self._warmup)
        if self._training.decay == "cosine":
            return max(0.0, 0.5 * (1 + cos(pi * (step - self._warmup) / last)))
        return max(0.0, (self.ends - step) / last)

    def add(self, loss: float) -> None:
        """A step's loss: the end may come nearer by it."""
        self._losses.append(loss)
        step, training = len(self._losses), self._training
        if training.steps == "auto" and not self._settled and step % EVERY == 0:
            self._settled = step >= FEWEST and has_settled(self._losses)
            if self._settled and step + LAST < self.ends:
                self._planned = self.ends = step + LAST
                self.why = "the loss had settled"
        if training.max_seconds is not None:
            in_time = parallel.share(self._in_time(step, training.max_seconds))
            self.ends = min(self._planned, in_time)
            if self.ends < self._planned:
                self.why = "training.max_seconds"

    def _in_time(self, step: int, seconds: float) -> int:
        """The step with which so many seconds, since the training began or went on, will be over at
        the pace up to now."""
        pace = (time.monotonic() - self._began) / max(1, step - self._since)
        return max(step, self._since + int(seconds / max(pace, 1e-9)))

    def save(self, folder: Path) -> None:
        (folder / LOSSES).write_text(json.dumps(self._losses))

    def go_on(self, folder: Path) -> None:
        """As it was saved."""
        for loss in json.loads((folder / LOSSES).read_text()):
            self.add(loss)
        self._since = len(self._losses)


def has_settled(losses: list[float]) -> bool:
    """Whether the last fifth of the steps brought less than a twentieth of what all have brought,
    and these a quarter of the loss. losses: of each step."""
    fifths = [float(np.mean(part)) for part in np.array_split(np.asarray(losses), FIFTHS)]
    learnt = fifths[0] - min(fifths)
    return learnt >= LEARNT * fifths[0] and fifths[-2] - fifths[-1] <= STILL_FALLING * learnt
