"""Everything ctkd raises on purpose.

    CtkdError                 exit 1
    ├── InputError            exit 2   bad settings, data or files; nothing was trained
    ├── RunFailed             exit 1   a run began and could not end
    │   ├── TrainingDiverged           loss became NaN or infinite
    │   └── Pruned                     a search ended it, since others do better
    └── SweepIncomplete       exit 3   some jobs of a sweep failed

A KeyboardInterrupt passes through everything and ends in exit 130.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "CtkdError",
    "InputError",
    "Problem",
    "Pruned",
    "RunFailed",
    "SweepIncomplete",
    "TrainingDiverged",
    "nearest",
]


class CtkdError(Exception):
    """Base of all errors that ctkd raises on purpose."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what the user gave, told so that it can be mended.

    Only `what` is required. `where` is a settings key, a file, or a file and a line.
    """

    what: str
    where: str = ""
    got: str = ""
    allowed: str = ""
    nearest: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        lines = [self.what]
        for label in ("where", "got", "allowed"):
            if value := getattr(self, label):
                lines.append(f"  {label + ':':<9}{value}")
        if self.nearest:
            lines.append(f"  did you mean {self.nearest}?")
        if self.remedy:
            lines.append(f"  {'try:':<9}{self.remedy}")
        return "\n".join(lines)


class InputError(CtkdError):
    """Bad settings, data or files. Holds every problem found, not only the first."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n\n".join(str(problem) for problem in problems))


class RunFailed(CtkdError):
    """A run began and could not end."""


class TrainingDiverged(RunFailed):
    """The loss became NaN or infinite."""


class Pruned(RunFailed):
    """A search ended the run, since others do better; neither complete nor failed."""


class SweepIncomplete(CtkdError):
    """A sweep ended with failed jobs."""

    exit_code = 3


def nearest(word: str, possible: Iterable[str]) -> str:
    """The name in `possible` closest to `word`, or "" when none is close."""
    candidates: Sequence[str] = list(possible)
    folded = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else ""
