"""Sentences that people bring to be labelled, and how labelled ones are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ctkd_cli.data._conll import is_universal, sentences
from ctkd_cli.data._source import Source
from ctkd_cli.data._tables import FORMATS, read_table
from ctkd_cli.runtime import streams
from ctkd_cli.tasks.kinds._new_inputs import Asked, NewInputs
from ctkd_cli.tasks.tags import spans, types

COLUMNS = (".conll", ".conllu", ".bio", ".iob")  # files with a word per line
TOKEN = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]")  # a word, or a sign by itself


def read_words(path: Path | None, column: str, asked: Asked) -> NewInputs:
    """New sentences: a table with a column of lists; a file with a word per line, its first field;
    or plain lines, a sentence each, parted at blanks and before and after signs. On standard input,
    plain lines."""
    from datasets import Dataset

    if path is not None and path.suffix.lower() in FORMATS:
        table = read_table(path, "FILE", guess=True)
        named = asked.inputs or (column,)
        ours = "words" if column not in table.column_names and not asked.inputs else named[0]
        asked.require_there(table, [ours], str(path))
        words = [list(map(str, each or ())) for each in table[ours]]
        return NewInputs.of_table(Dataset.from_dict({"words": words}), table, asked, [ours])
    asked.require_none(path)
    if path is None:
        text = Source(Path("standard input"), "FILE").decode(streams.read_input())
        return _plain(text)
    source = Source.find(path, "FILE")
    if path.suffix.lower() not in COLUMNS:
        return _plain(source.text())
    read = [*sentences(source.lines(newline="\n"), source)]
    place = 1 if is_universal(read) else 0
    names = [each.name or str(number) for number, each in enumerate(read, 1)]
    words = [[row[place] for row in each.rows] for each in read]
    return NewInputs(Dataset.from_dict({"words": words}), Dataset.from_dict({"id": names}))


def _plain(text: str) -> NewInputs:
    """A sentence per line, with the line's number as its id; blank lines are none."""
    from datasets import Dataset

    lines = text.replace("\r\n", "\n").split("\n")
    filled = [(str(n), line) for n, line in enumerate(lines, 1) if line.strip()]
    words = Dataset.from_dict({"words": [TOKEN.findall(line) for _, line in filled]})
    return NewInputs(words, Dataset.from_dict({"id": [n for n, _ in filled]}))


def named_spans(
    words: Sequence[str], tags: Sequence[str], sure: Sequence[float]
) -> list[dict[str, object]]:
    """The spans of IOB2 tags: start and end of their words, end exclusive, text, type, score."""
    names = sorted(set(tags))
    codes = np.array([names.index(tag) for tag in tags], np.int64)
    found = spans(names, codes, np.array([0, len(tags)]))
    kinds = types(names)
    return [
        {
            "start": start,
            "end": end,
            "text": " ".join(words[start:end]),
            "type": kinds[kind],
            "score": float(np.mean(sure[start:end])),
        }
        for start, end, kind in zip(
            found.start.tolist(), found.end.tolist(), found.kind.tolist(), strict=True
        )
    ]


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
