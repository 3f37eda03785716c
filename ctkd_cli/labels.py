"""Names of labels, from whatever a table holds in its label column."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset

MOST = 1000  # labels of a task: reports have a row, and predictions a column, for each


def label_names(table: Dataset, column: str, where: str) -> list[str | None]:
    """The label name of each row, None where a row has no label.

    Strings stay as they are written, but for space around them. A whole number has one name,
    whether a file holds it as 1 or, as columns with gaps often do, as 1.0. A ClassLabel gives its
    names; its -1 is no label. Raises InputError when the column holds lists or bytes.
    """
    if column not in table.column_names:
        return [None] * len(table)
    values = table[column][:]
    names = getattr(table.features[column], "names", None)  # ClassLabel
    if names is not None:
        return [None if value is None or value < 0 else names[value] for value in values]
    compound = next((v for v in values if isinstance(v, list | dict | bytes)), None)
    if compound is not None:
        raise InputError(
            Problem(
                "a label must be one text or one number",
                where=where,
                got=f"{compound!r:.80}",
                remedy="a column with one label per row",
            )
        )
    return [_name(value) for value in values]


def _name(value: Any) -> str | None:
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def problems(labels: Sequence[str], role: str, column: str, chosen: bool) -> list[Problem]:
    """What is wrong with a task's labels. chosen: by the user, who then means labels that look
    alike to be two."""
    where = f"{role}.label, column {column!r}"
    if len(labels) < 2:
        return [Problem("a task needs at least two labels", where=where, got=str(list(labels)))]
    if len(labels) > MOST:
        return [
            Problem(
                f"this column holds {len(labels):,} labels", where=where,
                got=", ".join(map(repr, labels[:3])) + ", ...", allowed=f"up to {MOST:,} labels",
                remedy=f"{role}.label=COLUMN, or {role}.labels=[...] to keep some",
            )
        ]  # fmt: skip
    alike: dict[str, list[str]] = {}
    for name in () if chosen else labels:
        alike.setdefault(_folded(name), []).append(name)
    return [
        Problem(
            "these labels differ only in how they are written", where=where,
            got=", ".join(map(repr, names)),
            allowed="labels that differ in more than case, blanks or the form of a number",
            remedy=f"{role}.labels={{{names[0]}: {names[-1]}, ...}} makes them one, "
            f"{role}.labels=[...] keeps both; name all labels there",
        )
        for names in alike.values()
        if len(names) > 1
    ]  # fmt: skip


def _folded(name: str) -> str:
    """What two spellings of one label have in common."""
    text = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
    try:
        number = float(text)
    except ValueError:
        return text
    return repr(number) if isfinite(number) else text
