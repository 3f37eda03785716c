"""JSON and JSON lines: objects become rows; a column that Arrow cannot hold becomes text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ctkd_cli.data._source import Source

if TYPE_CHECKING:
    from datasets import Dataset


def read(source: Source, text: str) -> Dataset:
    """A list of objects as a table. Raises InputError."""
    rows = _parse(source, text, 1)
    if not isinstance(rows, list):
        raise source.refuse("this file holds no table", allowed="a list of objects")
    return _table(source, rows, "a list of objects")


def read_lines(source: Source, lines: Iterator[str]) -> Dataset:
    """An object per line as a table; blank lines are skipped. Raises InputError."""
    # Only \n ends a line: strings of JSON may hold other separators, such as U+2028.
    filled = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    rows = [_parse(source, line.rstrip("\n"), number) for number, line in filled]
    return _table(source, rows, "an object per line")


def _table(source: Source, rows: list[Any], wanted: str) -> Dataset:
    import pyarrow as pa
    from datasets import Dataset

    if not rows or not all(isinstance(row, dict) for row in rows):
        raise source.refuse("this file holds no table", allowed=wanted)
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        return Dataset(pa.table({name: _column([row.get(name) for row in rows]) for name in names}))
    except UnicodeEncodeError:  # JSON can spell what no text may hold
        number = next(number for number, row in enumerate(rows, start=1) if not _is_text(row))
        raise source.refuse(
            f"row {number} holds half of a surrogate pair", remedy="mend it, or leave it out"
        ) from None


def _parse(source: Source, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        several = error.msg == "Extra data" and error.lineno > 1
        raise source.refuse(
            f"line {line + error.lineno - 1} is no JSON: {error.msg}",
            remedy=source.setting("format", "jsonl, if it has an object per line")
            if several
            else "",
        ) from None
    except RecursionError:
        raise source.refuse("this JSON is nested too deeply") from None


def _column(values: Sequence[Any]) -> Any:
    """As Arrow holds it; where kinds are mixed or too large for it, as it was written."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([v if v is None or isinstance(v, str) else _dump(v) for v in values])


def _is_text(row: object) -> bool:
    try:
        _dump(row).encode()
    except UnicodeEncodeError:
        return False
    return True


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
