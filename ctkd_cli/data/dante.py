from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from ctkd_cli.data._conll import COLUMNS, is_universal, sentences
from ctkd_cli.data._corpus import Corpus, Rows, bounded
from ctkd_cli.data._source import Source
from ctkd_cli.data._words import drop_repeats, parted
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import CtkdError, InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset

# Where a sentence's name says its document: this is what follows. A tweet is one of its own.
SENTENCE_OF = {
    "porttinari": re.compile(r"_SENT\d+$"),
    "petrogold": re.compile(r"-\d+$"),
    "dantestocks": None,
    "danteshots": None,
}
TAGS = ("upos", "deprel")


def parse(archive: Path) -> Mapping[str, Rows]:
    """The four treebanks: `id`, `group`, `words`, and a list of each of TAGS."""
    tables = {}
    with zipfile.ZipFile(archive) as package:
        for treebank in SENTENCE_OF:
            name = f"dante/data/{treebank}/annotated.conllu"
            with package.open(name) as stream:
                text = bounded(stream, name).decode("utf-8", "replace")
            tables[treebank] = _rows(treebank, name, text)
    return tables


def _rows(treebank: str, file: str, text: str) -> Rows:
    # Three words of dantestocks have an eleventh field, after all that is read here.
    lines = ("\t".join(line.split("\t")[: len(COLUMNS)]) for line in io.StringIO(text))
    found = list(sentences(lines, Source(Path(file), "dante")))
    if torn := next((each for each in found if not is_universal(each) or not each.name), None):
        raise CtkdError(f"{file}: line {torn.line} begins no named sentence; nothing was kept")
    ids = [each.name for each in found]
    number = SENTENCE_OF[treebank]
    table: dict[str, list[object]] = {
        "id": [*ids],
        "group": [number.sub("", name) if number else name for name in ids],
        "words": [[row[COLUMNS.index("form")] for row in each.rows] for each in found],
    }
    for tag in TAGS:
        place = COLUMNS.index(tag)
        table[tag] = [
            [None if row[place] == "_" else row[place] for row in each.rows] for each in found
        ]
    return drop_repeats(table)


class Dante(Reader):
    """Portuguese treebanks in Universal Dependencies: news (porttinari, 8,420 sentences), theses on
    petroleum (petrogold, 9,127), tweets on stocks (dantestocks, 4,048) and on vaccines (danteshots,
    7,056). Parts of speech in all four, dependency relations in petrogold.

    Documents are parted once and for all: `documents: source` and `documents: target` share none.
    Source: the POeTiSA project (Di Felippo et al., DANTEStocks, 2021; Pardo et al., Porttinari,
    2021; de Souza et al., PetroGold, 2021), as packaged in dante-corpora.
    """

    corpus: ClassVar[Corpus] = Corpus(
        name="dante",
        requirement="dante-corpora==2.0.5",
        options=("--only-binary", ":all:"),
        sha256="e050761fd00d09a99beabf81658419b284267341c96afd6dd1225468a9d73bb0",
        megabytes=23,
        licence="package MIT; elsewhere petrogold is CC BY-SA 4.0 and porttinari CC BY 4.0",
        parse=parse,
    )

    treebank: Literal["porttinari", "petrogold", "dantestocks", "danteshots"]
    tag: Literal["upos", "deprel"] = "upos"
    documents: Literal["all", "source", "target"] = "all"

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        if self.tag == "deprel" and self.treebank != "petrogold":
            raise InputError(
                Problem(
                    "this treebank has no dependency relations",
                    where="tag",
                    got=f"{self.tag} of {self.treebank}",
                    allowed="upos; deprel of petrogold",
                    remedy="tag: upos, or treebank: petrogold",
                )
            )
        (words,) = columns.values()
        table = self.corpus.table(self.treebank)
        names = {"id": "id", "group": "group", "words": words, self.tag: label}
        return parted(table.select_columns(list(names)).rename_columns(names), self.documents)

    def licence(self) -> str:
        return self.corpus.licence
