"""Files that are compressed, by their first bytes: a name may not tell it, as in a cache."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
ZIP = b"PK\x03\x04"
SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
TORN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError,
        RuntimeError)  # fmt: skip


class NotOneFile(ValueError):
    """An archive with another number of files than one."""


def is_packed(file: Path) -> bool:
    """Whether a file's first bytes are those of a compressed one."""
    if not file.is_file():  # a pipe can be read only once
        return False
    with file.open("rb") as stream:
        return stream.read(8).startswith((*OPENERS, ZIP))


def unpacked(file: Path) -> IO[bytes]:
    """A file as it was before it was compressed, to be read. Raises NotOneFile; one of TORN, when
    it is opened or read, for a file that is torn."""
    with file.open("rb") as stream:
        first = stream.read(8)
    if not first.startswith(ZIP):
        opener = next(open_ for mark, open_ in OPENERS.items() if first.startswith(mark))
        found: IO[bytes] = opener(file, "rb")
        return found
    archive = zipfile.ZipFile(file)
    names = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(names) != 1:
        raise NotOneFile(f"{len(names)} files in it")
    return archive.open(names[0])


def without_suffix(name: str) -> str:
    """`train.csv` for `train.csv.gz`."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
