"""CoNLL-U, the format of Universal Dependencies (universaldependencies.org/format.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
NUMBER = re.compile(r"\d+([-.]\d+)?")

Sentence = tuple[dict[str, str], list[dict[str, str]]]


def sentences(lines: Iterable[str]) -> Iterator[Sentence]:
    """Each sentence: its comments (`# sent_id = 3` is `sent_id`: `3`) and a row per word.

    Words are syntactic words: the ranges of multiword tokens (`1-2`) and empty nodes (`1.1`) are
    left out. Raises ValueError, with the line's number, when a line is not CoNLL-U.
    """
    comments: dict[str, str] = {}
    rows: list[dict[str, str]] = []
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if not line.strip():
            if rows:
                yield comments, rows
            comments, rows = {}, []
        elif line.startswith("#"):  # a word's line starts with its number
            key, _, value = line[1:].partition("=")
            comments[key.strip()] = value.strip()
        else:
            fields = line.split("\t")
            if len(fields) != len(FIELDS):
                raise ValueError(
                    f"line {number} has {len(fields)} fields between tabs, not {len(FIELDS)}"
                )
            if not NUMBER.fullmatch(fields[0]):
                raise ValueError(f"line {number} starts with {fields[0]!r}, not a word's number")
            if fields[0].isdecimal():
                rows.append(dict(zip(FIELDS, fields, strict=True)))
    if rows:
        yield comments, rows
