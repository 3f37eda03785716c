"""sha256 of files."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path


def sha256(file: Path) -> str:
    """Of a file's content, in hexadecimal digits; read once in a process for as long as nobody
    writes to it, which its inode, size and time of change tell."""
    status = file.stat()
    return _read(file, status.st_ino, status.st_size, status.st_mtime_ns)


@cache
def _read(file: Path, inode: int, size: int, modified: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
