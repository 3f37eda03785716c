"""Changes to a model's config.json that a user asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctkd_cli.errors import InputError, Problem, nearest

DROPOUT = re.compile(r"drop(out|$|_path)")  # keys of a config.json


def apply(config: Any, asked: Mapping[str, Any], role: str, folder: Path, weights: str) -> None:
    """Set what is asked for. role: teacher or student; folder: where config.json lies; weights:
    pretrained or random.

    Raises InputError for changes that the model does not know, its weights do not allow (only
    dropout has no part in what they mean) or transformers refuses, all of them.
    """
    known = [*(key for key in config.to_dict() if key[0] != "_"), *config.attribute_map]
    problems = [
        Problem(
            "no such key in this model's config.json",
            where=f"{role}.config.{key}", got=key, nearest=nearest(key, known),
            remedy=f"see {folder / 'config.json'}",
        )
        for key in asked
        if key not in known
    ]  # fmt: skip
    fixed = {k: v for k, v in asked.items() if k in known and not DROPOUT.search(k)}
    if fixed and weights == "pretrained":
        problems.append(
            Problem(
                "the architecture of pretrained weights cannot be changed",
                where=f"{role}.config",
                got=str(fixed),
                allowed=", ".join(filter(DROPOUT.search, known)) or "nothing, for this model",
                remedy="weights=random, or layers=[...] to keep some layers",
            )
        )
    problems += filter(None, (_set(config, k, v, role) for k, v in asked.items() if k in known))
    if problems:
        raise InputError(*problems)


def _set(config: Any, key: str, value: Any, role: str) -> Problem | None:
    """Set it; what is wrong with a value that transformers refuses, or would fail on later."""
    problem = Problem("no such value", where=f"{role}.config.{key}", got=repr(value))
    if DROPOUT.search(key) and not (type(value) in (int, float) and 0 <= value < 1):
        return replace(problem, allowed="a number, 0 <= value < 1")
    try:
        setattr(config, key, value)
    except Exception as error:
        last = str(error).strip().splitlines()[-1:]
        return replace(problem, allowed=" ".join(last))
    return None
