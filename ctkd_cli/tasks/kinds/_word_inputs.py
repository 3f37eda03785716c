"""Sentences that people bring to be labelled, and how labelled ones are shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.data._conll import is_universal, sentences, table
from ctkd_cli.data._packed import without_suffix
from ctkd_cli.data._source import Source
from ctkd_cli.data._tables import FORMATS, OF_OFFICES, read_table
from ctkd_cli.runtime import streams
from ctkd_cli.runtime.lazy import pa
from ctkd_cli.tasks.kinds._new_inputs import Asked, NewInputs
from ctkd_cli.tasks.tags import spans, types

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = (".conll", ".conllu", ".bio", ".iob")  # files with a word per line
SIGNS = {"Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm"}


def read_words(
    path: Path | None, column: str, asked: Asked, conform: Callable[[Dataset, str], Dataset]
) -> NewInputs:
    """New sentences: a table with a column of lists, or of plain sentences; a file with a word per
    line, its first field; or plain lines, a sentence each. Plain sentences, as all on standard
    input, are parted into words (`parted`). conform: as the kind's. Raises InputError."""
    from datasets import Dataset

    suffix = Path(without_suffix(path.name)).suffix.lower() if path is not None else ""
    if path is not None and suffix in (*FORMATS, *OF_OFFICES):
        given = read_table(path, "FILE", guess=True)
        ours = asked.inputs[0] if asked.inputs else column
        if not asked.inputs and column not in given.column_names:
            ours = "words" if "words" in given.column_names else column
        asked.require_there(given, [ours], str(path))
        chosen = given.select_columns([ours]).rename_columns({ours: "words"})
        texts = chosen.with_format("arrow")[:]["words"]
        if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
            chosen = Dataset.from_dict({"words": [parted(text or "") for text in chosen["words"]]})
        return NewInputs.of_table(conform(chosen, str(path)), given, asked, [ours])
    asked.require_none(path)
    if path is None:
        text = Source(Path("standard input"), "FILE").decode(streams.read_input())
        return _plain(text)
    source = Source.find(path, "FILE")
    if suffix not in COLUMNS:
        return _plain(source.text())
    found = sentences(source.lines(newline="\n"), source)
    first = next(found, None)
    if first is None:
        return NewInputs(Dataset.from_dict({"words": []}))
    read = Dataset(table(chain([first], found), "new", 1 if is_universal(first) else 0, None))
    ids = read.select_columns(["id"]) if "id" in read.column_names else None
    return NewInputs(read.select_columns(["words"]), ids)


def _plain(text: str) -> NewInputs:
    """A sentence per line, with the line's number as its id; blank lines are none."""
    from datasets import Dataset

    lines = text.replace("\r\n", "\n").split("\n")
    filled = [(str(n), line) for n, line in enumerate(lines, 1) if line.strip()]
    words = Dataset.from_dict({"words": [parted(line) for _, line in filled]})
    return NewInputs(words, Dataset.from_dict({"id": [n for n, _ in filled]}))


def parted(text: str) -> list[str]:
    """A plain sentence in words: parted at blanks, and signs at the ends of what is between them
    are words by themselves. Signs within (e-mail, 3.14) and before a tag or a name (#tag, @name)
    stay. Nothing but blanks is left out."""
    words: list[str] = []
    for piece in text.split():
        start, end = 0, len(piece)
        while start < end and _is_sign(piece[start]):
            if piece[start] in "#@" and piece[start + 1 : start + 2].isalnum():
                break
            start += 1
        while end > start and _is_sign(piece[end - 1]):
            end -= 1
        words += [*piece[:start], *([piece[start:end]] if start < end else []), *piece[end:]]
    return words


def _is_sign(letter: str) -> bool:
    """Punctuation, or a sign of currency or mathematics."""
    return unicodedata.category(letter) in SIGNS


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


def marked(words: Sequence[str], tags: Sequence[str | None]) -> list[tuple[str, str]]:
    """A sentence in pieces, each with what it is: an entity's words with its type, words outside
    with ""."""
    pieces: list[tuple[str, str]] = []
    for word, tag in zip(words, tags, strict=True):
        kind = tag[2:] if tag and tag != "O" else ""
        if pieces and pieces[-1][1] == kind and not (tag or "").startswith("B-"):
            pieces[-1] = f"{pieces[-1][0]} {word}", kind
        else:
            pieces.append((word, kind))
    return pieces
