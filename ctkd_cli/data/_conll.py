"""Sentences in columns: CoNLL-2003 and its kin, and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ctkd_cli.data._source import Source

DOCUMENT = "-DOCSTART-"
COLUMNS = (
    "id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc",
)  # fmt: skip
SKIPPED = re.compile(r"\d+[-.]\d+")  # multiword tokens and empty nodes of CoNLL-U
COMMENT = re.compile(r"#\s*(sent_id|newdoc)\b\s*(?:id)?\s*=?\s*(.*)")


@dataclass
class Sentence:
    """rows: the fields of each word. line: of its first word, from 1. name: its sent_id, "" for
    none. document: name or number of the document that it is in, "" where none was named."""

    document: str
    name: str = ""
    line: int = 0
    rows: list[list[str]] = field(default_factory=list)


def sentences(lines: Iterable[str], source: Source) -> Iterator[Sentence]:
    """Sentences, parted by lines that are blank. Fields are parted by tabs where a line has one,
    else by blanks. Raises InputError, with the line, where one has another number of fields than
    the first."""
    documents, columns, universal = 0, 0, False
    document = ""
    current = Sentence(document)
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip():
            if current.rows:
                yield current
            current = Sentence(document)
            continue
        if not current.rows and (found := COMMENT.fullmatch(text.strip())):
            universal = True
            if found[1] == "newdoc":
                documents += 1
                document = current.document = found[2].strip() or str(documents)
            else:
                current.name = found[2].strip()
            continue
        if text.startswith("#") and (universal or "\t" not in text) and _is_comment(text, columns):
            continue
        fields = text.split("\t") if "\t" in text else text.split()
        if fields[0] == DOCUMENT:
            documents += 1
            document = current.document = str(documents)
            continue
        if SKIPPED.fullmatch(fields[0]) and len(fields) == len(COLUMNS):
            continue
        columns = columns or len(fields)
        if len(fields) != columns:
            raise source.refuse(
                f"line {number} has {len(fields)} fields, and the lines before it {columns}",
                text[:80],
                allowed="a word per line, its fields parted by tabs or blanks, and a blank line "
                "between sentences",
            )
        current.line = current.line or number
        current.rows.append(fields)
    if current.rows:
        yield current


def _is_comment(text: str, columns: int) -> bool:
    """A line that begins with # is a word where it has as many fields as words have."""
    return not columns or len(text.split()) != columns


def place_of(column: str | int, n_columns: int) -> int | None:
    """Where a column is, by its number, from the left or, negative, from the right, or by its name
    in CoNLL-U; None when it is not there."""
    if isinstance(column, str):
        named = n_columns == len(COLUMNS) and column.lower() in COLUMNS
        return COLUMNS.index(column.lower()) if named else None
    place = column if column >= 0 else n_columns + column
    return place if 0 <= place < n_columns else None


def table(found: Sequence[Sentence], words: int, tags: int | None) -> dict[str, list[object]]:
    """Columns id (where all sentences have a name), group, words and, where there are some, tags.
    `_` of CoNLL-U is no tag."""
    columns: dict[str, list[object]] = {
        "group": [each.document or f"sentence {row}" for row, each in enumerate(found)],
        "words": [[row[words] for row in each.rows] for each in found],
    }
    names = [each.name for each in found]
    if all(names) and len(set(names)) == len(names):
        columns["id"] = [*names]
    if tags is not None:
        columns["tags"] = [
            [None if row[tags] == "_" else row[tags] for row in each.rows] for each in found
        ]
    return columns
