"""A part of the labelled examples that is test while the others are trained on (cross-validation;
Stone, 1974): every labelled example is tested once, by a student that has not seen it.

Students of other folds share most of what they have learnt from, so that intervals over the
examples are somewhat too narrow (Bengio and Grandvalet, JMLR 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from ctkd_cli.tasks.split import Split


@dataclass(frozen=True)
class Fold:
    """number: from 0."""

    number: int
    of: int

    def require_no_test(self, test: Split | None) -> None:
        """Raise InputError where the data has a test split of its own."""
        if test is not None:
            raise InputError(
                Problem(
                    "the target has a test split, and folds are for those who have none",
                    where="evaluation",
                    got="folds",
                    remedy="evaluation=test",
                )
            )

    def told(self, n_labelled: int) -> str:
        return (
            f"each of {n_labelled} labelled examples is tested once, in {self.of} folds; counts "
            "are those of the first, and the student that is kept has not seen it"
        )
