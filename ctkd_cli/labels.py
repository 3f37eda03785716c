"""Names of labels, from whatever a table holds in its label column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset


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
