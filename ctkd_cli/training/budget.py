"""How long a training lasts, and how its learning rate goes."""

from __future__ import annotations

import json
import time
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.evaluation.falling import falls_no_more, means_of_fifths
from ctkd_cli.runtime import parallel
from ctkd_cli.training.batches import FEWEST

if TYPE_CHECKING:
    from ctkd_cli.training.settings import Training

LEARNT = 0.25  # of the first fifth's loss, before which a training has hardly begun
EVERY = 10  # steps between two looks at the loss
LAST = 50  # steps that a training takes from when its loss has settled
LOSSES = "losses.json"  # in a checkpoint


class Budget:
    """The steps of one training. ends: with which step, for all that is known now.

    With steps=auto a training whose loss has settled goes on for LAST steps, in which the learning
    rate falls to zero. The rule looks at the arm's own loss and nothing else, and is the same for
    every arm. max_seconds ends it by the clock, with a learning rate that has fallen too.
    """

    def __init__(self, training: Training, steps: int) -> None:
        self._steps = self._planned = self.ends = steps
        self._training = training
        self._warmup = round(training.warmup * steps)
        self._losses: list[float] = []
        self._began = time.monotonic()
        self._since = 0  # the step after which that was

    @property
    def why(self) -> str:
        """Why the end is not the last step of the budget; "" where it is."""
        if self.ends < self._planned:
            return "training.max_seconds"
        return "the loss had settled" if self._planned < self._steps else ""

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
        is_due = training.steps == "auto" and step >= FEWEST and step % EVERY == 0
        if is_due and step + LAST < self._planned and has_settled(self._losses):
            self._planned = step + LAST
        self.ends = self._planned
        if training.max_seconds is not None:
            self.ends = min(self.ends, parallel.share(self._in_time(step, training.max_seconds)))

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
    """Whether the loss falls no more, after a fall of a quarter. losses: of each step."""
    fifths = means_of_fifths(losses)
    learnt = fifths[0] - min(fifths)
    return learnt >= LEARNT * fifths[0] and falls_no_more(fifths, learnt)
