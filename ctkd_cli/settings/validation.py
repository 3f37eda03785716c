"""pydantic's findings, told in our words."""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import Repr

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ctkd_cli.errors import Problem, nearest

IN_WORDS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "string_too_short": "a text of {min_length} or more characters",
    "too_short": "{min_length} or more of them",
}
SHOWN = Repr()  # whatever was given, in a line or two
SHOWN.maxstring = SHOWN.maxother = 200


class Refused(ValueError):
    """Raised by a validator of ours that knows what to say better than pydantic does."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


def problems(model: type[BaseModel], error: ValidationError, prefix: str = "") -> list[Problem]:
    """What was found wrong with a model's settings, one problem per setting: a union reports each
    of its branches, and all say the same thing to the user. `prefix`: the key of the model."""
    told: list[Problem] = []
    found: dict[str, list[ErrorDetails]] = {}
    owners: dict[str, type[BaseModel]] = {}
    for details in error.errors(include_url=False):
        if isinstance(refused := details.get("ctx", {}).get("error"), Refused):
            told += refused.problems
            continue
        owner, path = _locate(model, details["loc"])
        where = ".".join(str(step) for step in (*([prefix] if prefix else []), *path))
        found.setdefault(where, []).append(details)
        owners[where] = owner
    return told + [_problem(owners[where], where, details) for where, details in found.items()]


def _problem(owner: type[BaseModel], where: str, branches: list[ErrorDetails]) -> Problem:
    details = branches[0]
    if details["type"] == "extra_forbidden":
        key = where.rpartition(".")[2]
        names = [field.alias or name for name, field in owner.model_fields.items()]
        return Problem(
            "unknown setting",
            where=where,
            allowed=", ".join(names),
            nearest=nearest(key, names),
        )
    if details["type"] == "missing":
        return Problem("missing setting", where=where, remedy=f"{where}=VALUE")
    # A list whose items are wrong is too short as well: what was wrong is not counted.
    told = [branch for branch in branches if branch["type"] != "too_short"] or branches
    needs = [_need(branch) for branch in told]
    return Problem(
        f"{where} has a value that it cannot take",
        where=where,
        got=SHOWN.repr(details["input"]),
        allowed=" or ".join(dict.fromkeys(needs)),
    )


def _need(branch: ErrorDetails) -> str:
    """What a setting asks for, in words."""
    if (words := IN_WORDS.get(branch["type"])) is not None:
        return words.format_map(branch.get("ctx", {}))
    return branch["msg"].replace("Input should be ", "").removeprefix("Value error, ")


def _locate(
    model: type[BaseModel], loc: Sequence[str | int]
) -> tuple[type[BaseModel], list[str | int]]:
    """The model that owns the setting at `loc`, and its path without the names that pydantic adds
    for the branches of a union."""
    owner, path = model, []
    for position, step in enumerate(loc):
        path.append(step)
        fields = {field.alias or name: field for name, field in owner.model_fields.items()}
        inner = fields[step].annotation if step in fields else None
        if isinstance(inner, type) and issubclass(inner, BaseModel) and position + 1 < len(loc):
            owner = inner
        else:
            break
    return owner, path
