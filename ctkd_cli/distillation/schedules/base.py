"""What a schedule is."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from ctkd_cli.settings.component import Component


class Schedule(Component):
    """lambda(t) = lambda * schedule(progress)."""

    package: ClassVar[str] = "distillation.schedules"
    name: str = ""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """The factor on lambda. progress: share of training done, in [0, 1]."""
