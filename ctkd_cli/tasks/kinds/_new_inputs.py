"""New inputs for `ctkd predict`: what is asked of a table, and what is taken from it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.data._columns import meant
from ctkd_cli.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Asked:
    """Columns that the user names. inputs: in place of those of training, in their order. id: that
    tells rows apart. keep: others, to stand beside the answers."""

    inputs: tuple[str, ...] = ()
    id: str | None = None
    keep: tuple[str, ...] = ()

    def require_none(self, path: Path | None) -> None:
        """Raise InputError when columns are asked of what has none."""
        options = {"--text": self.inputs, "--id": self.id, "--keep": self.keep}
        if named := [option for option, value in options.items() if value]:
            raise InputError(
                Problem(
                    "only a table has columns to choose from",
                    where=" ".join(named),
                    got=str(path or "standard input"),
                    allowed="a file that is called .csv, .tsv, .json, .jsonl, .parquet or .arrow",
                )
            )

    def require_there(self, table: Dataset, inputs: Iterable[str], source: str) -> None:
        """Raise InputError with every column that a table lacks, and how to name another. inputs:
        the columns that are to be read."""
        present, inputs = table.column_names, list(inputs)
        wanted = [*(("--id", n) for n in [self.id] if n), *(("--keep", n) for n in self.keep)]
        free = [name for name in present if name not in (*inputs, self.id, *self.keep)]
        found: list[tuple[str, str, str]] = []  # option, name, the name that is close
        read = []
        for name in inputs:
            if name in present:
                read.append(name)
                continue
            close, guess = meant(table, name, free)
            free = [each for each in free if each != guess]
            read.append(guess or "COLUMN")
            found.append(("--text", name, close))
        found += [(o, name, nearest(name, present)) for o, name in wanted if name not in present]
        problems = [
            Problem(
                "the data has no such column",
                where=f"{option} ({source})",
                got=name,
                allowed=", ".join(present[:30]),
                nearest=close,
                remedy=shlex.join(w for each in read for w in ("--text", each))
                if option == "--text"
                else "",
            )
            for option, name, close in found
        ]
        if problems:
            raise InputError(*problems)


@dataclass(frozen=True)
class NewInputs:
    """inputs: our columns, N rows. ids: [N]; None when nothing tells rows apart but their number.
    id_column: what the ids are called. kept: the user's columns that stand beside the answers.
    left_out: the names of those that do not."""

    inputs: Dataset
    ids: Dataset | None = None
    id_column: str = "id"
    kept: Dataset | None = None
    left_out: tuple[str, ...] = ()

    @classmethod
    def of_table(
        cls, inputs: Dataset, table: Dataset, asked: Asked, read: Iterable[str]
    ) -> NewInputs:
        """read: the columns of the table that became inputs."""
        used = {*read, *asked.keep}
        named = asked.id or ("id" if "id" in table.column_names and "id" not in used else None)
        if named:
            used.add(named)
        return cls(
            inputs,
            ids=table.select_columns([named]) if named else None,
            id_column=named or "id",
            kept=table.select_columns(list(asked.keep)) if asked.keep else None,
            left_out=tuple(name for name in table.column_names if name not in used),
        )
