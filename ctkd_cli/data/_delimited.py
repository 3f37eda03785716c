"""CSV and TSV: a strict look at the structure, and every cell as it was written."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from ctkd_cli.data._pieces import PIECE, gather
from ctkd_cli.data._source import Source
from ctkd_cli.runtime.lazy import pa

if TYPE_CHECKING:
    from datasets import Dataset

DELIMITERS = (",", ";", "\t", "|")
HEAD = 100  # lines in which a header must end, if its delimiter is to be guessed
QUOTE = "quote cells that hold the delimiter"
csv.field_size_limit(2**27)


def read(source: Source, lines: Iterator[str], delimiter: str, *, guess: bool = False) -> Dataset:
    """Delimited lines with a header as a table of strings. Blank lines are skipped.

    guess: take the delimiter that the header shows, instead of saying that it shows another one.
    Raises InputError.
    """
    from datasets import Dataset

    head: list[str] = []
    rows = _rows(source, _remembered(lines, head), delimiter)
    _, header = next(rows, (0, []))
    if not header:
        raise source.refuse("this file is empty")
    if other := _other_delimiter(header, delimiter):
        if guess:
            return read(source, chain(head, lines), other)
        raise source.refuse(
            "the file has one column, whose name holds another delimiter",
            repr(header[0][:80]),
            remedy=source.setting("delimiter", json.dumps(other)),
        )
    source.require_distinct(header)
    table = gather(_pieces(source, rows, header, delimiter))
    if table is None:
        raise source.refuse("this file has a header and no rows")
    return Dataset(table)


def _pieces(
    source: Source, rows: Iterator[tuple[int, list[str]]], header: Sequence[str], delimiter: str
) -> Iterator[pa.RecordBatch]:
    """Some rows at a time, as columns of strings."""
    while taken := list(islice(rows, PIECE)):
        for line, row in taken:
            if len(row) != len(header):
                raise source.refuse(
                    f"line {line} has {len(row)} cells and the header {len(header)}",
                    delimiter.join(row)[:80],
                    remedy=", or ".join(filter(None, [QUOTE, source.setting("delimiter", "...")])),
                )
        columns = zip(*(row for _, row in taken), strict=True)
        arrays = [pa.array(column, pa.string()) for column in columns]
        yield pa.record_batch(arrays, names=list(header))


def _remembered(lines: Iterator[str], head: list[str]) -> Iterator[str]:
    """The same lines; the first ones, of which a header may have several, are noted in `head`."""
    for line in lines:
        if len(head) < HEAD:
            head.append(line)
        yield line


def _rows(source: Source, lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line that it begins on."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
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
