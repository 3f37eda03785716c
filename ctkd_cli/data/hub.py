from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ctkd_cli.data import _plain_files
from ctkd_cli.data._columns import with_columns
from ctkd_cli.data._tables import first_line
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from datasets import Dataset


class Hub(Reader):
    """A data set of the Hugging Face Hub, or a local folder that `load_dataset` understands."""

    path: str = Field(min_length=1, description="a hub id such as ag_news, or a folder")
    subset: str | None = Field(None, description="the configuration, where there are several")
    revision: str | None = Field(None, description="branch, tag or commit")
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"

    def title(self) -> str:
        return self.path

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        from datasets import load_dataset, load_dataset_builder

        path = str(Path(self.path).expanduser()) if self.path.startswith("~/") else self.path
        try:
            builder = load_dataset_builder(path, self.subset, revision=self.revision)
            loaded = _plain_files.read(builder, f"data set of {self.role}")
            if loaded is None:
                named = ["id", *columns.values(), label]
                more = _plain_files.as_written(named) if builder.name == "csv" else {}
                loaded = load_dataset(path, self.subset, revision=self.revision, **more)
        except InputError:
            raise
        except Exception as error:  # datasets raises a dozen kinds, from requests to pyarrow
            raise InputError(
                Problem(
                    "this data set cannot be had",
                    where=f"{self.role}.path",
                    got=f"{self.path} ({type(error).__name__}: {first_line(error)})",
                    remedy=f"check the name, the subset and the network; or use {self.role}=files",
                )
            ) from None
        return pick_splits(
            loaded, self.path, columns, label, self.role,
            train=self.train_split, validation=self.validation_split, test=self.test_split,
        )  # fmt: skip


def pick_splits(
    loaded: dict[str, Dataset],
    source: str,
    columns: dict[str, str],
    label: str,
    role: str,
    **names: str,
) -> dict[str, Dataset]:
    """The splits of a DatasetDict under our names; all but train may be absent.

    Labels that are all hidden (-1, as in the test splits of public leaderboards) are no labels:
    the split comes without its label column. Raises InputError.
    """
    train = names["train"]
    if train not in loaded:
        raise InputError(
            Problem(
                "the data set has no such split",
                where=f"{role}.train_split",
                got=train,
                allowed=", ".join(map(str, loaded)),
                nearest=nearest(train, map(str, loaded)),
            )
        )
    found = {part: loaded[name] for part, name in names.items() if name in loaded}
    wanted = {**columns, "label": label}
    found = {
        part: with_columns(
            table, wanted, f"{role}.{part}_split", source, role if part == "train" else ""
        )
        for part, table in found.items()
    }
    if _hidden(found["train"][label]):
        raise InputError(
            Problem(
                "the train split is empty, or its labels are hidden",
                where=f"{role}.train_split, column {label!r}",
                got=f"{source}: {train}",
            )
        )
    return {
        part: table.remove_columns(label) if _hidden(table[label]) else table
        for part, table in found.items()
    }


def _hidden(labels: list[object]) -> bool:
    return all(label in (-1, None, "-1", "") for label in labels)
