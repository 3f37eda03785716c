from __future__ import annotations

from pydantic import Field

from ctkd_cli.distillation.schedules.base import Schedule


class Linear(Schedule):
    """A straight line from `start` to `end`."""

    start: float = Field(1.0, ge=0)
    end: float = Field(0.0, ge=0)

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * progress
