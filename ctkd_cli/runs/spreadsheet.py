"""Cells of a CSV that no spreadsheet runs as a formula: a quote before them makes them text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import TextIO

FORMULAS = ("=", "+", "-", "@")
SPACE = " \t\r\n\v\f'"  # what spreadsheets skip; a quote may be ours


def write(stream: TextIO, rows: Iterable[Sequence[object]]) -> None:
    """Rows as CSV. Python leaves a lone carriage return unquoted, where others see a new row."""
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)


def inert(cell: str) -> str:
    """The cell, quoted if a spreadsheet could run it. Numbers stay numbers."""
    return f"'{cell}" if _runs(cell) else cell


def original(cell: str) -> str:
    """What `inert` was given."""
    return cell[1:] if cell.startswith("'") and _runs(cell) else cell


def _runs(cell: str) -> bool:
    if not cell.lstrip(SPACE).startswith(FORMULAS):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
