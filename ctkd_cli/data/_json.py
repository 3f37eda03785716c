"""JSON and JSON lines: objects become rows; a column that Arrow cannot hold becomes text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ctkd_cli.data._source import Source

if TYPE_CHECKING:
    from datasets import Dataset


def read(source: Source, text: str, *, lines: bool) -> Dataset:
    """A list of objects, or an object per line, as a table. Raises InputError."""
    import pyarrow as pa
    from datasets import Dataset

    rows = _lines(source, text) if lines else _parse(source, text, 1)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise source.refuse(
            "this file holds no table",
            allowed="an object per line" if lines else "a list of objects",
        )
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        return Dataset(pa.table({name: _column([row.get(name) for row in rows]) for name in names}))
    except UnicodeEncodeError:  # JSON can spell what no text may hold
        number = next(number for number, row in enumerate(rows, start=1) if not _is_text(row))
        raise source.refuse(
            f"row {number} holds half of a surrogate pair", remedy="mend it, or leave it out"
        ) from None


def _lines(source: Source, text: str) -> list[Any]:
    # Not splitlines: strings of JSON may hold other separators of lines, such as U+2028.
    pieces = enumerate(text.split("\n"), start=1)
    return [_parse(source, piece, line) for line, piece in pieces if piece.strip()]


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
