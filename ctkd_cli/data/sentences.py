from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from ctkd_cli.data._corpus import Corpus, Rows, bounded
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import CtkdError

if TYPE_CHECKING:
    from datasets import Dataset

FILES = {
    "movie": "movieReviewSnippets_GroundTruth.txt",
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
    "nyt": "nytEditorialSnippets_GroundTruth.txt",
}
NEUTRAL = 0.5  # mean ratings up to here, on -4 to 4, are neutral


def parse(archive: Path) -> Mapping[str, Rows]:
    """The four rated sets, from the archive within the package's archive."""
    with tarfile.open(archive) as package:
        (inner,) = (m for m in package.getmembers() if m.name.endswith("hutto_ICWSM_2014.tar.gz"))
        data = bounded(package.extractfile(inner), inner.name)
    tables: dict[str, Rows] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as sets:
        for domain, file in FILES.items():
            text = bounded(sets.extractfile(f"hutto_ICWSM_2014/{file}"), file).decode(
                "utf-8", "replace"
            )
            rows = [line.split("\t", 2) for line in text.splitlines() if line.strip()]
            if any(len(row) != 3 for row in rows):
                raise CtkdError(f"{file} has a line without three fields; nothing was kept")
            names, ratings, texts = zip(*rows, strict=True)
            tables[domain] = {
                "id": [f"{domain}-{name}" for name in names],
                "rating": [float(rating) for rating in ratings],
                "text": [sentence.strip() for sentence in texts],
            }
    return tables


class Sentences(Reader):
    """Sentences of four domains with the mean of twenty human ratings of sentiment, -4 to 4.

    Source: Hutto and Gilbert, VADER, ICWSM 2014; ships in the source package of vaderSentiment.
    """

    corpus: ClassVar[Corpus] = Corpus(
        name="sentences",
        requirement="vaderSentiment==3.3.2",
        options=("--no-binary", "vaderSentiment"),
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        megabytes=3,
        licence="MIT (Hutto and Gilbert, VADER, 2014)",
        parse=parse,
    )

    domain: Literal["movie", "amazon", "tweets", "nyt"]
    neutral: bool = True  # three labels; without it neutral sentences are left out

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        from datasets import Dataset

        (text,) = columns.values()
        table = self.corpus.table(self.domain)
        names = [sentiment(rating) for rating in table["rating"]]
        rows = [row for row, name in enumerate(names) if self.neutral or name != "neutral"]
        chosen = table.select(rows)
        return {
            "train": Dataset.from_dict(
                {
                    "id": chosen["id"][:],
                    text: chosen["text"][:],
                    label: [names[row] for row in rows],
                }
            )
        }

    def licence(self) -> str:
        return self.corpus.licence


def sentiment(rating: float) -> str:
    """negative, neutral or positive."""
    if abs(rating) <= NEUTRAL:
        return "neutral"
    return "positive" if rating > 0 else "negative"
