from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from ctkd_cli.data._columns import with_columns
from ctkd_cli.data._ids import Ids
from ctkd_cli.data._labels import any_labelled
from ctkd_cli.data._tables import read_table
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset

PARTS = ("train", "validation", "test", "unlabelled")


class Files(Reader):
    """Your own files: CSV, TSV, JSON, JSONL (.gz, .bz2, .xz, .zip), Parquet or Arrow, one per
    split."""

    train: str = Field(
        min_length=1, description="labelled rows; rows without a label are unlabelled"
    )
    validation: str | None = Field(None, description="labelled rows to select on")
    test: str | None = Field(None, description="labelled rows to judge on; default: part of train")
    unlabelled: str | None = Field(None, description="more inputs; their labels are not looked at")
    format: Literal["auto", "csv", "tsv", "json", "jsonl", "parquet", "arrow"] = Field(
        "auto", description="auto: as the files' names tell"
    )
    encoding: str | None = Field(None, description="default: UTF-8, or UTF-16 with its mark")
    delimiter: str | None = Field(None, description=r"of CSV and TSV; \t is a tab")

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value == r"\t":  # as one types a tab
            return "\t"
        if value is not None and (len(value) != 1 or value in '"\r\n'):
            raise ValueError(r"one character, such as ; or \t, and neither quote nor line end")
        return value

    def title(self) -> str:
        return Path(self.train).stem

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        tables: dict[str, Dataset] = {}
        problems: list[Problem] = []
        for part in PARTS:
            file = getattr(self, part)
            if file is None:
                continue
            try:
                tables[part] = self._part(part, file, columns, label)
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(*problems)
        return tables

    def _part(self, part: str, file: str, columns: dict[str, str], label: str) -> Dataset:
        where = f"{self.role}.{part}"
        table = read_table(file, where, self.format, self.encoding, self.delimiter)
        labelled = part != "unlabelled"
        wanted = {**columns, "label": label} if labelled else columns
        settings = self.role if part == "train" else ""
        table = with_columns(table, wanted, where, file, settings)
        _require_unique_ids(table, where, file)
        if not labelled:
            return table.remove_columns([n for n in [label] if n in table.column_names])
        if not any_labelled(table, label, f"{where}, column {label!r}"):
            raise InputError(
                Problem("no row has a label", where=f"{where}, column {label!r}", got=file)
            )
        return table


def _require_unique_ids(table: Dataset, where: str, file: str) -> None:
    if "id" not in table.column_names:
        return
    ids = Ids.of_column(table, "id", "row")
    if not ids.repeat():
        return
    row = next(row for row, first in enumerate(ids.first_seen()) if first < row)
    raise InputError(
        Problem(
            f"row {row + 1} has an id that an earlier row has",
            where=f"{where}, column id",
            got=f"{file}: {ids[row]}",
            remedy="make ids unique, or rename the column: ctkd counts rows then",
        )
    )
