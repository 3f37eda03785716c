from __future__ import annotations

from ctkd_cli.distillation.schedules.base import Schedule


class Constant(Schedule):
    """lambda stays as it is."""

    def __call__(self, progress: float) -> float:
        return 1.0
