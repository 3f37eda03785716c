from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError, field_validator

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings import validation
from ctkd_cli.settings.component import find

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHT = "weight"


class Mix(Loss):
    """A weighted sum: `terms: {mapped_kl: 1, hint: {weight: 0.5}}`. A term is a loss's name with
    its weight, or with its weight and its settings; a weight of 0 leaves it out."""

    choose_when: ClassVar[str] = "logits and features should both be heard; needs what its terms do"

    terms: dict[str, float | dict[str, Any]] = Field({"mapped_kl": 1.0, "hint": 1.0}, min_length=1)

    @field_validator("terms")
    @classmethod
    def _terms_are_losses(cls, terms: dict[str, Any]) -> dict[str, Any]:
        problems: list[Problem] = []
        for name, given in terms.items():
            try:
                _term(name, given, f"{cls.role or 'loss'}.terms.{name}")
            except InputError as error:
                problems += error.problems
        if problems:
            raise validation.Refused(*problems)
        if not any(_weight(given) for given in terms.values()):
            raise ValueError("at least one weight above 0")
        return terms

    def parts(self) -> list[tuple[Loss, float]]:
        found = [(name, given, _weight(given)) for name, given in self.terms.items()]
        return [(_term(name, given, name), weight) for name, given, weight in found if weight > 0]

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        raise NotImplementedError("a mix is taught through its parts (terms.py)")


def _weight(given: float | Mapping[str, Any]) -> float:
    return float(given.get(WEIGHT, 1.0) if isinstance(given, Mapping) else given)


def _term(name: str, given: float | Mapping[str, Any], where: str) -> Loss:
    """The loss that a term names. Raises InputError."""
    kind = find(Loss, name, where)  # type: ignore[type-abstract]
    settings = dict(given) if isinstance(given, Mapping) else {WEIGHT: given}
    weight = settings.pop(WEIGHT, 1.0)
    if issubclass(kind, Mix):
        raise InputError(Problem("a mix cannot be a term of a mix", where=where))
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
        raise InputError(
            Problem(
                "a term's weight must be a number",
                where=where,
                got=repr(weight),
                allowed="0 or more",
            )
        )
    try:
        return kind.model_validate({**settings, "name": name})
    except ValidationError as error:
        raise InputError(*validation.problems(kind, error, prefix=where)) from None
