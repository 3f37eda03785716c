from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ctkd_cli.data._corpus import Corpus
from ctkd_cli.data._orange import read_tabs, tabs
from ctkd_cli.data.base import Reader

if TYPE_CHECKING:
    from datasets import Dataset

TABLES = [f"reuters-{subset}-{split}" for subset in ("r8", "r52") for split in ("train", "test")]


class Reuters(Reader):
    """Reuters-21578 with one topic per story: the 8 largest topics, or all 52, lower case.

    Source: Lewis 1997, ModApte split; as prepared by Cardoso-Cachopo 2007.
    """

    corpus: ClassVar[Corpus] = tabs("reuters", *TABLES)

    subset: Literal["r8", "r52"] = "r8"

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        return {
            split: read_tabs(self.corpus, f"reuters-{self.subset}-{split}", columns, label)
            for split in ("train", "test")
        }

    def licence(self) -> str:
        return self.corpus.licence
