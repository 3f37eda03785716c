"""The columns that a task reads from a table, and what to say when one is not there."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import pa, pc

if TYPE_CHECKING:
    from datasets import Dataset

CLOSE = 0.75  # how alike a name must be to be meant: `text` is not `intent`
LOOKED_AT = 1_000  # rows from which the meaning of a column is guessed


def with_columns(
    table: Dataset, columns: Mapping[str, str], where: str, source: str, settings: str = ""
) -> Dataset:
    """The table with all these columns: `body.text` is the key `text` in the objects of a column
    `body`. columns: the user's name for each setting that names one (text, label); settings: the
    key above those settings (target), when another column can be named there. Raises InputError
    for every column that it lacks."""
    table = with_dotted(table, columns.values())
    present = list(dict.fromkeys([*table.column_names, *_dotted(table)]))
    free = [name for name in present if name not in columns.values()]
    problems = []
    for setting, column in columns.items():
        if column in table.column_names:
            continue
        close, guess = meant(table, column, free, is_label=setting == "label")
        if guess:
            free.remove(guess)
        named = f"{settings}.{setting}={guess or 'COLUMN'}"
        problems.append(
            Problem(
                "the data has no such column",
                where=f"{where} ({source})",
                got=column,
                allowed=", ".join(present[:30]),
                nearest=close,
                remedy=shlex.quote(named) if settings else "",
            )
        )
    if problems:
        raise InputError(*problems)
    return table


def with_dotted(table: Dataset, columns: Iterable[str]) -> Dataset:
    """The table with the columns that dotted names stand for."""
    for column in dict.fromkeys(columns):
        if column not in table.column_names and (inner := _within(table, column)) is not None:
            table = table.add_column(column, inner)
    return table


def _within(table: Dataset, dotted: str) -> Any:
    """The values of a key within the objects of a column, by its dotted name; None when there is
    no such key."""
    parts = dotted.split(".")
    for cut in range(1, len(parts)):
        column, path = ".".join(parts[:cut]), parts[cut:]
        if column not in table.column_names:
            continue
        values = table.with_format("arrow")[:][column]
        for key in path:
            if not pa.types.is_struct(values.type) or values.type.get_field_index(key) < 0:
                break
            values = pc.struct_field(values, key)
        else:
            return values.combine_chunks()
    return None


def _dotted(table: Dataset) -> list[str]:
    """The dotted names of keys within the columns of a table."""

    def inside(name: str, kind: Any) -> Iterable[str]:
        for field in kind if pa.types.is_struct(kind) else ():
            yield f"{name}.{field.name}"
            yield from inside(f"{name}.{field.name}", field.type)

    schema = table.with_format("arrow")[:0].schema
    return [name for field in schema for name in inside(field.name, field.type)]


def meant(
    table: Dataset, column: str, free: Sequence[str], is_label: bool = False
) -> tuple[str, str]:
    """For a column that is not there, among those that are free: the one of nearly that name, and
    the one that most likely is meant; "" when there is none."""
    close = difflib.get_close_matches(column, free, n=1, cutoff=CLOSE)
    if close:
        return close[0], close[0]
    return "", _guess(table, [name for name in free if name in table.column_names], is_label)


def _guess(table: Dataset, free: Sequence[str], is_label: bool) -> str:
    """The column that most likely is meant: of labels the one with the fewest values, of inputs
    the one with the longest texts; "" when there is none."""
    head = table.with_format("arrow")[:LOOKED_AT]
    texts = [name for name in free if pa.types.is_string(head[name].type)]
    if is_label:
        values = {name: pc.count_distinct(head[name]).as_py() for name in texts or free}
        several = [name for name, n in values.items() if n > 1]
        return min(several, key=lambda name: values[name], default="")
    lengths = {name: pc.mean(pc.utf8_length(head[name])).as_py() or 0 for name in texts}
    return max(lengths, key=lambda name: lengths[name], default="")
