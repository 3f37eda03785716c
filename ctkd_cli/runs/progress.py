"""Where a run is: what its stages took, how far the present one is, and what is left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


class Progress:
    """Kept by a run as it goes; `as_data` is what status.json tells of it."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}  # by stage
        self._bars: dict[str, tuple[int, int]] = {}  # done and total, by stage
        self._figures: Mapping[str, float] = {}  # of the last step
        self._present = ""
        self._began = 0.0

    def begin(self, stage: str) -> None:
        self._present, self._began, self._figures = stage, time.monotonic(), {}

    def move(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        self._bars[stage], self._figures = (done, total), figures

    def end(self) -> float:
        """The present stage is over. Returns what it took; a stage may begin again for another
        seed."""
        took = time.monotonic() - self._began
        self._seconds[self._present] = self._seconds.get(self._present, 0.0) + took
        self._present = ""
        return took

    def as_data(self) -> dict[str, Any]:
        """`stages`: seconds of each; `progress`: the present one. left: seconds that stages with a
        bar still need, at their own pace; None when no bar tells."""
        seconds = {stage: round(took, 3) for stage, took in self._seconds.items()}
        stage = self._present
        if not stage:
            return {"stages": seconds}
        spent = {**seconds, stage: seconds.get(stage, 0.0) + time.monotonic() - self._began}
        moved = {each: bar for each, bar in self._bars.items() if bar[0]}
        left = sum(spent[each] * (total - done) / done for each, (done, total) in moved.items())
        done, total = self._bars.get(stage, (0, 0))
        present = {
            "stage": stage,
            "done": done,
            "total": total,
            "left": round(left, 1) if done or left else None,
            "figures": {name: float(f"{value:.4g}") for name, value in self._figures.items()},
        }
        return {"stages": seconds, "progress": present}
