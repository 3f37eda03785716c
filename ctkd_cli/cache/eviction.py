"""The cache from outside: what is in it, and what may go.

What a running job uses, or is making, is never removed. Corpora are removed only when somebody
asks: what came over a network may not come again.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from ctkd_cli.cache import pins
from ctkd_cli.cache.entries import MANIFEST, SORTS, lock_of, manifest_of, remove
from ctkd_cli.cache.places import cache_root, may, unreadable
from ctkd_cli.errors import InputError, Problem

LIMIT_VARIABLE = "CTKD_CACHE_LIMIT"
DEFAULT_LIMIT = "20G"
KEPT = "corpora"  # is never removed to make room
UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True)
class Entry:
    """used: when it was last used, in seconds since 1970. by: the job that made it, "" when that
    is not known. making: it is not whole yet, or was left by a process that was killed."""

    path: Path
    size: int
    used: float
    by: str
    making: bool = False

    @property
    def sort(self) -> str:
        return self.path.parent.name

    @property
    def key(self) -> str:
        return self.path.name.removeprefix(".").partition("-")[0]

    @property
    def in_use(self) -> bool:
        return pins.is_pinned(self.path)

    @property
    def readable(self) -> bool:
        return unreadable(self.path) is None

    @property
    def removable(self) -> bool:
        """Whether this user may move it out of its folder, and empty it."""
        folders = (self.path.parent, self.path)
        return all(may(folder, os.W_OK | os.X_OK) for folder in folders)


def entries() -> list[Entry]:
    """All that lies in the cache, the longest unused first."""
    found = (
        _entry(path)
        for sort in SORTS
        for path in _folders(cache_root() / sort)
        if not path.is_symlink()
    )
    return sorted(found, key=lambda entry: entry.used)


def clear(chosen: Iterable[Entry]) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """Remove entries. Returns those that went, those that a running job uses, and those of others
    that this user may not remove."""
    gone: list[Entry] = []
    used: list[Entry] = []
    others: list[Entry] = []
    for entry in chosen:
        (gone if _removed(entry) else used if entry.removable else others).append(entry)
    return gone, used, others


def evict() -> list[Entry]:
    """Remove what was unused for longest until the cache is within its limit; what went."""
    allowed = limit()
    if allowed is None:
        return []
    found = entries()
    total = sum(entry.size for entry in found)
    gone = []
    for entry in found:
        if total <= allowed:
            break
        if entry.sort != KEPT and _removed(entry):
            total -= entry.size
            gone.append(entry)
    return gone


def limit() -> int | None:
    """Bytes that the cache may hold; None: no limit. Raises InputError."""
    text = os.environ.get(LIMIT_VARIABLE) or DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if text.strip().lower() == "none":
        return None
    if match is None:
        raise InputError(
            Problem(
                "this is no size", where=LIMIT_VARIABLE, got=repr(text),
                allowed=f"500M, {DEFAULT_LIMIT}, 1T; none for no limit",
            )
        )  # fmt: skip
    return int(float(match[1]) * UNITS.get(match[2].upper(), 1))


def seconds_of(age: str, where: str) -> float:
    """`12h`, `30d` in seconds. Raises InputError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", age.strip())
    if match is None:
        raise InputError(
            Problem("this is no age", where=where, got=repr(age), allowed="90m, 12h, 30d, 2w")
        )
    return float(match[1]) * SECONDS[match[2]]


def size_in_words(size: float) -> str:
    """`1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def age_in_words(used: float) -> str:
    """`3 d ago`."""
    age = max(0.0, time.time() - used)
    for unit, seconds in reversed(SECONDS.items()):
        if unit != "w" and age >= seconds:
            return f"{age / seconds:.0f} {unit} ago"
    return "just now"


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_dir())


def _entry(path: Path) -> Entry:
    size, changed = 0, path.stat().st_mtime
    for file in path.rglob("*"):
        try:
            status = file.lstat()
        except OSError:  # it goes while we look
            continue
        size += status.st_size
        if file.name == MANIFEST and file.parent == path:
            changed = status.st_mtime
    by = manifest_of(path).get("by", "")
    return Entry(path, size, changed, by if isinstance(by, str) else "", path.name.startswith("."))


def _removed(entry: Entry) -> bool:
    """Remove an entry unless it is used, being made, or another user's."""
    if not entry.removable:
        return False
    whole = entry.path.with_name(entry.key)
    try:
        with lock_of(whole, timeout=0):
            if entry.in_use:
                return False
            if entry.making:
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                remove(entry.path)
    except (Timeout, OSError):
        return False
    return not entry.path.exists()
