from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ctkd_cli.data._conll import COLUMNS, is_universal, place_of, sentences, table
from ctkd_cli.data._source import Source
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset

LONGEST = 500  # words of a sentence that is all of a file
PARTS = ("train", "validation", "test", "unlabelled")


class Conll(Reader):
    """Your own files with a word per line: CoNLL-2003 and its kin, or CoNLL-U."""

    train: str = Field(min_length=1, description="sentences with a tag for each word")
    validation: str | None = Field(None, description="sentences to select on")
    test: str | None = Field(None, description="sentences to judge on; default: part of train")
    unlabelled: str | None = Field(None, description="more sentences; tags are not looked at")
    tag_column: int | str | None = Field(
        None,
        union_mode="left_to_right",
        description="number of the tags' column, from the left (0) or the right (-1), or its name "
        "in CoNLL-U; default: the last one, in CoNLL-U upos",
    )
    word_column: int | str | None = Field(
        None,
        union_mode="left_to_right",
        description="the words' column; default: the first one, in CoNLL-U form",
    )
    encoding: str | None = Field(None, description="default: UTF-8, or UTF-16 with its mark")

    def title(self) -> str:
        return Path(self.train).stem

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        if "words" not in columns:
            raise InputError(
                Problem(
                    "this reader reads sentences of words",
                    where=f"{self.role}.reader",
                    got=f"conll for the columns {', '.join(columns)}",
                    remedy=f"{self.role}.kind=words, or {self.role}=files",
                )
            )
        tables: dict[str, Dataset] = {}
        problems: list[Problem] = []
        for part in PARTS:
            file = getattr(self, part)
            if file is None:
                continue
            try:
                tables[part] = self._part(part, file, columns["words"], label)
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(*problems)
        return tables

    def _part(self, part: str, file: str, words: str, label: str) -> Dataset:
        from datasets import Dataset

        source = Source.find(Path(file), f"{self.role}.{part}")
        found = sentences(source.lines(self.encoding, newline="\n"), source)
        first = next(found, None)
        if first is None:
            raise source.refuse("this file has no sentence", allowed="a word per line")
        n_columns, universal = len(first.rows[0]), is_universal(first)
        asked = {
            "word_column": ("form" if universal else 0)
            if self.word_column is None
            else self.word_column,
            "tag_column": ("upos" if universal else -1)
            if self.tag_column is None
            else self.tag_column,
        }
        labelled = part != "unlabelled"
        places: dict[str, int] = {}
        for name, column in asked.items():
            place = place_of(column, n_columns, universal)
            if place is None and (labelled or name == "word_column"):
                raise InputError(
                    Problem(
                        "the data has no such column",
                        where=f"{self.role}.{name} ({file})",
                        got=str(column),
                        allowed=f"a number from 0 to {n_columns - 1}, or from -{n_columns} to -1"
                        + (f", or one of {', '.join(COLUMNS)}" if universal else ""),
                    )
                )
            places[name] = -1 if place is None else place
        if labelled and places["word_column"] == places["tag_column"]:
            raise InputError(
                Problem(
                    "words and tags are one column",
                    where=f"{self.role}.{part} ({file}), line {first.line}",
                    got=" ".join(first.rows[0])[:80],
                    allowed="a word and its tag per line",
                    remedy=f"{self.role}.unlabelled={file}, where there are no tags",
                )
            )
        tags = places["tag_column"] if labelled else None
        read = table(chain([first], found), part, places["word_column"], tags)
        if len(read) == 1 and (n_words := len(read["words"][0])) > LONGEST:
            raise source.refuse(
                "this file has one sentence",
                f"{n_words} words",
                allowed="a blank line between sentences",
            )
        named = {"words": words, "tags": label}
        return Dataset(read.rename_columns([named.get(n, n) for n in read.column_names]))
