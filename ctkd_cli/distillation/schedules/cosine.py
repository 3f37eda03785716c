from __future__ import annotations

import math

from pydantic import Field

from ctkd_cli.distillation.schedules.base import Schedule


class Cosine(Schedule):
    """Half a cosine wave from `start` to `end`: slow, fast, slow."""

    start: float = Field(1.0, ge=0)
    end: float = Field(0.0, ge=0)

    def __call__(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2
