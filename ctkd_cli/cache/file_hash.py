"""sha256 of files."""

from __future__ import annotations

import hashlib
import sys
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


def of_code_elsewhere(part: object) -> dict[str, str]:
    """Hashes of the modules of other packages that a part's class is written in, by their names; a
    part of ctkd has none."""
    found = {}
    known = {"ctkd_cli", "pydantic", *sys.stdlib_module_names}
    cls = part if isinstance(part, type) else type(part)
    for module in (sys.modules.get(each.__module__) for each in cls.__mro__):
        name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
        if file and name.partition(".")[0] not in known:
            found[name] = sha256(Path(file))
    return found
