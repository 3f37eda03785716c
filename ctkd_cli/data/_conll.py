"""Sentences in columns: CoNLL-2003 and its kin, and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from ctkd_cli.data._pieces import PIECE, gather
from ctkd_cli.data._source import Source
from ctkd_cli.runtime.lazy import pa, pc

DOCUMENT = "-DOCSTART-"
COLUMNS = (
    "id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc",
)  # fmt: skip
SKIPPED = re.compile(r"\d+[-.]\d+")  # multiword tokens and empty nodes of CoNLL-U
REMARK = re.compile(r"#\s*\S+\s*=\s.*|#\s*newdoc\b.*")  # `# key = value`
NAME = re.compile(r"#\s*(sent_id|newdoc)\b\s*(?:id)?\s*=?\s*(.*)")


@dataclass
class Sentence:
    """rows: the fields of each word. line: of its first word, from 1. name: its sent_id, "" for
    none. document: the name of the document that it is in, "" for none; number: which of its file's
    documents that is, from 1, 0 where the file tells of none."""

    document: str = ""
    number: int = 0
    name: str = ""
    line: int = 0
    rows: list[list[str]] = field(default_factory=list)


def sentences(lines: Iterable[str], source: Source) -> Iterator[Sentence]:
    """Sentences, parted by lines that are blank. Fields are parted by tabs where a line has one,
    else by blanks. Raises InputError, with the line, where one has another number of fields than
    the first."""
    columns = 0
    current = Sentence()
    for number, text, is_remark in _lines(lines):
        if not text or is_remark:
            if current.rows and not text:
                yield current
                current = Sentence(current.document, current.number)
            if found := NAME.fullmatch(text):
                if found[1] == "newdoc":
                    current.document, current.number = found[2].strip(), current.number + 1
                else:
                    current.name = found[2].strip()
            continue
        fields = _fields(text)
        if fields[0] == DOCUMENT:
            if current.rows:
                yield current
            current = Sentence(number=current.number + 1)
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


def _lines(lines: Iterable[str]) -> Iterator[tuple[int, str, bool]]:
    """Each line, its number from 1, without its end, and whether it is a remark: it begins with #
    and does not have the fields of a word, as a hashtag has."""
    columns = 0  # of the first line that is sure to be a word's; lines before it wait for it
    tabs = False
    waiting: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n") if line.strip() else ""
        waiting.append((number, text))
        if not columns and text and not text.startswith("#"):
            columns, tabs = len(_fields(text)), "\t" in text
        if columns:
            yield from ((n, each, _is_remark(each, columns, tabs)) for n, each in waiting)
            waiting = []
    yield from ((n, each, bool(REMARK.fullmatch(each))) for n, each in waiting)


def _is_remark(text: str, columns: int, tabs: bool) -> bool:
    if not text.startswith("#"):
        return False
    if tabs:
        return text.count("\t") + 1 != columns
    return len(_fields(text)) != columns or bool(REMARK.fullmatch(text))


def _fields(text: str) -> list[str]:
    """Other blanks than these, such as those that do not break, are part of words."""
    if "\t" in text:
        return [each.strip(" ") for each in text.split("\t")]
    return [each for each in text.split(" ") if each]


def is_universal(sentence: Sentence) -> bool:
    """Whether it has the columns of CoNLL-U, the number of a word first."""
    first = sentence.rows[0]
    return len(first) == len(COLUMNS) and first[0].isdecimal()


def place_of(column: str | int, n_columns: int, universal: bool) -> int | None:
    """Where a column is, by its number, from the left or, negative, from the right, or by its name
    in CoNLL-U; None when it is not there."""
    if isinstance(column, str):
        named = universal and column.lower() in COLUMNS
        return COLUMNS.index(column.lower()) if named else None
    place = column if column >= 0 else n_columns + column
    return place if 0 <= place < n_columns else None


def table(found: Iterable[Sentence], part: str, words: int, tags: int | None) -> pa.Table:
    """Sentences, one at least, in columns: id (where all have a name), group, words and, where
    there are some, tags. `_` of CoNLL-U is no tag. part: which split this is: documents without a
    name are others in another file, and a sentence without a document is one by itself."""
    read = gather(_pieces(found, part, words, tags))
    assert read is not None
    names = read["id"]
    known = not pc.any(pc.equal(names, "")).as_py()
    return read if known and pc.count_distinct(names).as_py() == len(read) else read.drop("id")


def _pieces(
    found: Iterable[Sentence], part: str, words: int, tags: int | None
) -> Iterator[pa.RecordBatch]:
    """Some sentences at a time."""
    numbered = enumerate(found)
    lists = pa.list_(pa.string())
    while taken := list(islice(numbered, PIECE)):
        groups = [
            each.document or (f"{part}-document-{each.number}" if each.number else f"{part}-{row}")
            for row, each in taken
        ]
        columns = {
            "id": pa.array([each.name for _, each in taken], pa.string()),
            "group": pa.array(groups, pa.string()),
            "words": pa.array([[row[words] for row in each.rows] for _, each in taken], lists),
        }
        if tags is not None:
            read = [[None if r[tags] == "_" else r[tags] for r in each.rows] for _, each in taken]
            columns["tags"] = pa.array(read, lists)
        yield pa.record_batch(columns)
