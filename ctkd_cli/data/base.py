"""What a reader gives: raw splits, as `datasets` tables."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.data._corpus import Corpus
from ctkd_cli.settings.component import Component

if TYPE_CHECKING:
    from datasets import Dataset


class Reader(Component):
    """Where examples come from.

    `read` returns any of the splits train, validation, test and unlabelled; `train` is always
    there. Each table has the input columns under the user's names and the label column; a label
    is a string, an int, or a ClassLabel of `datasets`; an empty or missing label means that the
    row is unlabelled. An `id` column is kept when there is one.
    """

    package: ClassVar[str] = "data"
    selector: ClassVar[str] = "reader"
    corpus: ClassVar[Corpus | None] = None  # what `ctkd fetch` must have brought
    reader: str = ""

    @abstractmethod
    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        """Read the splits. `columns`: our input name -> the user's column; `label`: the user's
        label column.

        Raises InputError when a file, a column or a split is missing or cannot be read.
        """

    def title(self) -> str:
        """What the data is called where it is the user's own, such as a file's name; "" where the
        option that names it says it."""
        return ""

    def licence(self) -> str:
        """One line on the data's licence, "" when it is the user's own."""
        return ""
