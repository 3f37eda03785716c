"""CSV and TSV: a strict look at the structure, and every cell as it was written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ctkd_cli.data._source import Source

if TYPE_CHECKING:
    from datasets import Dataset

DELIMITERS = (",", ";", "\t", "|")
QUOTE = "quote cells that hold the delimiter"
csv.field_size_limit(2**27)


def read(source: Source, text: str, delimiter: str, *, guess: bool = False) -> Dataset:
    """A delimited text with a header as a table of strings. Blank lines are skipped.

    guess: take the delimiter that the header shows, instead of saying that it shows another one.
    Raises InputError.
    """
    from datasets import Dataset

    rows = _rows(source, text, delimiter)
    _, header = next(rows, (0, []))
    if not header:
        raise source.refuse("this file is empty")
    if other := _other_delimiter(header, delimiter):
        if guess:
            return read(source, text, other)
        raise source.refuse(
            "the file has one column, whose name holds another delimiter",
            repr(header[0][:80]),
            remedy=source.setting("delimiter", json.dumps(other)),
        )
    source.require_distinct(header)
    cells = []
    for line, row in rows:
        if len(row) != len(header):
            raise source.refuse(
                f"line {line} has {len(row)} cells and the header {len(header)}",
                delimiter.join(row)[:80],
                remedy=", or ".join(filter(None, [QUOTE, source.setting("delimiter", "...")])),
            )
        cells.append(row)
    if not cells:
        raise source.refuse("this file has a header and no rows")
    columns = map(list, zip(*cells, strict=True))
    return Dataset.from_dict(dict(zip(header, columns, strict=True)))


def _rows(source: Source, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line that it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise source.refuse(
            f"the row that begins on line {line} is malformed: {error}",
            remedy="double each quote within a quoted cell, and close it",
        ) from None


def _other_delimiter(header: Sequence[str], delimiter: str) -> str:
    """The delimiter that a header of one cell should have been read with, "" when none shows."""
    if len(header) > 1:
        return ""
    return next((other for other in DELIMITERS if other != delimiter and other in header[0]), "")
