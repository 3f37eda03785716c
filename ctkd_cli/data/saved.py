from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ctkd_cli.data._tables import first_line
from ctkd_cli.data.base import Reader
from ctkd_cli.data.hub import pick_splits
from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset


class Saved(Reader):
    """A folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""

    folder: str = Field(min_length=1)
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"

    def title(self) -> str:
        return Path(self.folder).name

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        from datasets import Dataset, load_from_disk

        folder = Path(self.folder)
        try:
            folder = folder.expanduser()
            _require_own_files(folder)
            loaded = load_from_disk(str(folder))
        except Exception as error:  # as in hub.py; and ~ of nobody
            raise InputError(
                Problem(
                    "this folder holds no saved data set",
                    where=f"{self.role}.folder",
                    got=f"{folder} ({first_line(error)})",
                    allowed="a folder that save_to_disk wrote",
                )
            ) from None
        if isinstance(loaded, Dataset):
            loaded = {self.train_split: loaded}
        return pick_splits(
            loaded, str(folder), columns, label, self.role,
            train=self.train_split, validation=self.validation_split, test=self.test_split,
        )  # fmt: skip


def _require_own_files(folder: Path) -> None:
    """Raise ValueError when a state.json names a file that lies elsewhere."""
    for state in folder.rglob("state.json"):
        for file in json.loads(state.read_text(encoding="utf-8")).get("_data_files", []):
            name = str(file.get("filename", ""))
            if Path(name).name != name:
                raise ValueError(f"{state} names a file that lies elsewhere: {name}")
