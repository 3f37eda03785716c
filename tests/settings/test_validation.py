"""What a setting cannot take is told in words, for all sorts of settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from ctkd_cli.settings.validation import problems


class Settings(BaseModel):
    genres: tuple[Literal["news", "lore"], ...] = Field(("news",), min_length=1)
    map: dict[str, float] = Field({"a": 1}, min_length=1)
    path: str = Field("x", min_length=1)
    layers: Annotated[int, Field(ge=1)] | tuple[int, ...] | None = None


@pytest.mark.parametrize(
    ("setting", "value", "got", "allowed"),
    [
        ("genres", ["lor"], "'lor'", "'news' or 'lore'"),
        ("genres", ["news", "lor"], "'lor'", "'news' or 'lore'"),
        ("genres", [], "[]", "1 or more of them"),
        ("genres", "news", "'news'", "a list"),
        ("map", {}, "{}", "1 or more of them"),
        ("map", 3, "3", "a mapping"),
        ("path", "", "''", "a text of 1 or more characters"),
        ("layers", 0, "0", "greater than or equal to 1 or a list"),
    ],
)
def test_what_is_allowed(setting: str, value: Any, got: str, allowed: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**{setting: value})
    (problem,) = problems(Settings, caught.value, "target")
    assert (problem.where, problem.got, problem.allowed) == (f"target.{setting}", got, allowed)
