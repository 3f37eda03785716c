from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ctkd_cli.data._corpus import Corpus, part
from ctkd_cli.data._orange import read_tabs, tabs
from ctkd_cli.data.base import Reader

if TYPE_CHECKING:
    from datasets import Dataset


class Newsgroups(Reader):
    """20 Newsgroups, 18,821 posts in the usual split by date, lower case, letters only.

    Source: Lang, ICML 1995; as prepared by Cardoso-Cachopo 2007.
    """

    corpus: ClassVar[Corpus] = tabs("newsgroups", "20newsgroups-train", "20newsgroups-test")

    documents: Literal["all", "source", "target"] = "all"

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        splits = {
            split: read_tabs(self.corpus, f"20newsgroups-{split}", columns, label)
            for split in ("train", "test")
        }
        if self.documents == "all":
            return splits
        from datasets import concatenate_datasets

        whole = _unique(concatenate_datasets(list(splits.values())), *columns.values())
        rows = part(whole[label][:])
        if self.documents == "source":
            return {"train": whole.select(rows["source"])}
        return {"train": whole.select(rows["target"]), "test": whole.select(rows["test"])}

    def licence(self) -> str:
        return self.corpus.licence


def _unique(table: Dataset, column: str) -> Dataset:
    """The first of each group of equal texts: posts to several groups are one document."""
    first: dict[str, int] = {}
    for row, text in enumerate(table[column]):
        first.setdefault(text, row)
    return table.select(list(first.values()))
