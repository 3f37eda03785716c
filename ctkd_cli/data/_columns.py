"""The columns that a task reads from a table, and what to say when one is not there."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import pa, pc

if TYPE_CHECKING:
    from datasets import Dataset

CLOSE = 0.75  # how alike a name must be to be meant: `text` is not `intent`
LOOKED_AT = 1_000  # rows from which the meaning of a column is guessed


def require_columns(
    table: Dataset, columns: Mapping[str, str], where: str, source: str, settings: str = ""
) -> None:
    """Raise InputError for every column that a table lacks. columns: the user's name for each
    setting that names one (text, label); settings: the key above those settings (target), when
    another column can be named there."""
    present = table.column_names
    free = [name for name in present if name not in columns.values()]
    problems = []
    for setting, column in columns.items():
        if column in present:
            continue
        close = difflib.get_close_matches(column, free, n=1, cutoff=CLOSE)
        guess = close[0] if close else _guess(table, free, is_label=setting == "label")
        if guess:
            free.remove(guess)
        named = f"{settings}.{setting}={guess or 'COLUMN'}"
        problems.append(
            Problem(
                "the data has no such column",
                where=f"{where} ({source})",
                got=column,
                allowed=", ".join(present[:30]),
                nearest=close[0] if close else "",
                remedy=shlex.quote(named) if settings else "",
            )
        )
    if problems:
        raise InputError(*problems)


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
