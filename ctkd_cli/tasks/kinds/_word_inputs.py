"""Sentences that people bring to be labelled, and how labelled ones are shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.data._conll import sentences
from ctkd_cli.data._source import Source
from ctkd_cli.data._tables import FORMATS, read_table, require_columns

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = (".conll", ".conllu", ".bio", ".iob")  # files with a word per line
TOKEN = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]")  # a word, or a sign by itself


def read_words(path: Path | None, column: str) -> Dataset:
    """New sentences: a table with a column of lists; a file with a word per line, its first field;
    or plain lines, a sentence each, parted at blanks and before and after signs. On standard input,
    plain lines."""
    from datasets import Dataset

    if path is None:
        source = Source(Path("standard input"), "FILE")
        return _plain(source.decode(sys.stdin.buffer.read()))
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        table = read_table(path, "FILE", guess=True)
        column = column if column in table.column_names or "words" not in table.column_names else (
            "words"
        )  # fmt: skip
        require_columns(table, [column], "FILE", str(path))
        ids = [str(name) for name in table["id"]] if "id" in table.column_names else None
        found = {"words": [list(map(str, words or ())) for words in table[column]]}
        return Dataset.from_dict(found if ids is None else {"id": ids, **found})
    source = Source.find(path, "FILE")
    if suffix not in COLUMNS:
        return _plain(source.text())
    read = [*sentences(source.lines(newline="\n"), source)]
    place = 1 if read and len(read[0].rows[0]) == 10 else 0
    return Dataset.from_dict(
        {
            "id": [each.name or str(number) for number, each in enumerate(read, 1)],
            "words": [[row[place] for row in each.rows] for each in read],
        }
    )


def _plain(text: str) -> Dataset:
    """A sentence per line, with the line's number as its id; blank lines are none."""
    from datasets import Dataset

    lines = text.replace("\r\n", "\n").split("\n")
    filled = [(str(n), line) for n, line in enumerate(lines, 1) if line.strip()]
    return Dataset.from_dict(
        {"id": [n for n, _ in filled], "words": [TOKEN.findall(line) for _, line in filled]}
    )


def marked(words: Sequence[str], tags: Sequence[str | None], spans: bool) -> list[tuple[str, str]]:
    """A sentence in pieces, each with what it is: an entity's words with its type, words outside
    with "", or, where tags stand for themselves, each word with its tag."""
    if not spans:
        return [(word, tag or "") for word, tag in zip(words, tags, strict=False)]
    pieces: list[tuple[str, str]] = []
    for word, tag in zip(words, tags, strict=False):
        kind = tag[2:] if tag and tag != "O" else ""
        if pieces and pieces[-1][1] == kind and not (tag or "").startswith("B-"):
            pieces[-1] = f"{pieces[-1][0]} {word}", kind
        else:
            pieces.append((word, kind))
    return pieces
