"""What arms cost to use, beside the student: like is to be compared with like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctkd_cli.evaluation.arm_names import AS_TEACHER

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results

SAME_TIME = 2.0  # times the student's: what is measured at two moments differs by as much
SAME_SIZE = 1.01  # times the student's: a head of other labels is no other size


@dataclass(frozen=True)
class Cost:
    """Times what the student costs. parameters: None where they are not known; time: per example,
    None where it was not measured."""

    parameters: float | None
    time: float | None

    @property
    def dearer(self) -> bool:
        """Than the student, in parameters or in time; what is not known is the same."""
        return (self.parameters or 0.0) > SAME_SIZE or (self.time or 0.0) > SAME_TIME

    @property
    def told(self) -> str:
        """`1.3 times the parameters, 2.4 times the time for an example`."""
        figures = {"parameters": self.parameters, "time for an example": self.time}
        return ", ".join(f"{n:.1f} times the {what}" for what, n in figures.items() if n)


def cost_of(results: Results, arm: str) -> Cost:
    """Of using an arm: as measured, else by its size. Arms of the student's architecture cost what
    the student does, those that read with the teacher what the teacher does."""
    student = _figures(results, "student")
    if arm not in results.own_costs and arm not in AS_TEACHER:
        return Cost(1.0, 1.0 if "throughput" in student else None)
    own = results.own_costs.get(arm) or _figures(results, "teacher")

    def times(figure: str) -> float | None:
        first, second = own.get(figure), student.get(figure)
        return first / second if first and second else None

    throughput = times("throughput")
    return Cost(times("parameters"), 1 / throughput if throughput else None)


def no_dearer(results: Results) -> list[str]:
    """The controls that cost no more to use than the student; all where each costs more."""
    cheap = [arm for arm in results.controls if not cost_of(results, arm).dearer]
    return cheap or results.controls


def _figures(results: Results, role: str) -> Mapping[str, float]:
    return {**results.models.get(role, {}), **results.efficiency.get(role, {})}
