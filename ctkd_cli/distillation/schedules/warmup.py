from __future__ import annotations

from pydantic import Field

from ctkd_cli.distillation.schedules.base import Schedule


class Warmup(Schedule):
    """From 0 up in a straight line over the first `share` of training, then constant."""

    share: float = Field(0.1, gt=0, le=1)

    def __call__(self, progress: float) -> float:
        return min(1.0, progress / self.share)
