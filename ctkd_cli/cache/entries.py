"""Work that is done once: entries found by content key, complete or absent, never torn.

An entry is a folder, written to a temporary place and renamed when it is whole, under a lock, so
that parallel jobs make it once. MANIFEST.json holds the checksum of each file; an entry that does
not match its manifest is made again. Its time of change is when the entry was last used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock

import ctkd_cli
from ctkd_cli.cache import file_hash, pins
from ctkd_cli.runtime import parallel, variables

MANIFEST = "MANIFEST.json"
Sort = Literal[
    "teachers", "knowledge", "arms", "students", "checkpoints", "tokens", "corpora"
]  # fmt: skip
SORTS = get_args(Sort)
FORMAT = 6  # part of every key: raise it when the meaning of a stored file changes


def cache_root() -> Path:
    """`$CTKD_CACHE`, or `~/.cache/ctkd`."""
    return Path(os.environ.get("CTKD_CACHE") or Path.home() / ".cache" / "ctkd")


def content_key(*parts: Any) -> str:
    """Hash of plain data (numbers, strings, lists, mappings), and of what chooses kernels."""
    text = json.dumps([FORMAT, variables.keyed(), *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Cache:
    """Folders of one sort, by key."""

    def __init__(self, sort: Sort, root: Path | None = None) -> None:
        self.folder = (root or cache_root()) / sort

    def find(self, key: str) -> Path | None:
        """The entry of a key if it is there and whole."""
        entry = self.folder / key
        return _used(entry) if is_whole(entry) else None

    def get(
        self,
        key: str,
        make: Callable[[Path], None],
        on_damage: Callable[[Path], None] = lambda entry: None,
        again: bool = False,
        together: bool = False,
    ) -> tuple[Path, bool]:
        """The entry of a key, and whether it was there already.

        make: fills an empty folder when there is none, or when the one there is damaged
        (`on_damage` hears of it first). Other processes that want the same key wait. again: make
        it anew, whatever is there. together: all processes of a data-parallel run make it; what
        the first one writes is kept.
        """
        entry = self.folder / key
        found = (entry, True)
        if parallel.is_main():
            found = self._get(entry, make, on_damage, again, together)
        elif together and not parallel.share(True):
            with tempfile.TemporaryDirectory() as thrown_away:
                make(Path(thrown_away))
        return parallel.share(found)

    def drop(self, key: str) -> None:
        """Remove the entry of a key, if it is there."""
        entry = self.folder / key
        if parallel.is_main() and os.path.lexists(entry):
            with lock_of(entry):
                remove(entry)

    def _get(
        self,
        entry: Path,
        make: Callable[[Path], None],
        on_damage: Callable[[Path], None],
        again: bool,
        together: bool,
    ) -> tuple[Path, bool]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock_of(entry):
            there = not again and is_whole(entry)
            if together:
                parallel.share(there)
            if there:
                return _used(entry), True
            for left in self.folder.glob(f".{entry.name}-*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            if os.path.lexists(entry) and not again:
                on_damage(entry)
            making = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=self.folder))
            try:
                make(making)
                _write_manifest(making)
                old = _set_aside(entry)
                making.rename(entry)
                sync(self.folder)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            return _used(entry), False


def lock_of(entry: Path, timeout: float = -1) -> FileLock:
    """Who makes or removes an entry holds this; timeout: seconds to wait for it."""
    return FileLock(entry.with_name(f"{entry.name}.lock"), timeout=timeout)


def remove(entry: Path) -> None:
    """Remove an entry, or whatever lies in its place: gone at once, and then its files."""
    shutil.rmtree(_set_aside(entry), ignore_errors=True)


def _set_aside(entry: Path) -> Path:
    """Move what lies in an entry's place, if anything does, to a folder of its own."""
    aside = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    with suppress(FileNotFoundError):
        entry.rename(aside / "old")
    return aside


def _used(entry: Path) -> Path:
    """An entry that is used now, by this job."""
    pins.claim(entry)
    with suppress(OSError):  # a cache that may only be read
        os.utime(entry / MANIFEST)
    return entry


def link_tree(source: Path, target: Path) -> None:
    """Copy a folder of files, by hard links where the file system can."""

    def link(first: str, second: str) -> None:
        try:
            os.link(first, second)
        except OSError:
            shutil.copy2(first, second)

    shutil.copytree(source, target, copy_function=link)


def is_whole(entry: Path) -> bool:
    """Whether a folder holds exactly the files of its manifest, unchanged."""
    try:
        return bool(manifest_of(entry)["files"] == _checksums(entry))
    except (OSError, KeyError):
        return False


def manifest_of(entry: Path) -> dict[str, Any]:
    """What an entry says of itself; {} when it is torn, or no entry."""
    try:
        found = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_manifest(folder: Path) -> None:
    """The last file of an entry, when all others lie on the disk for good."""
    os.umask(mask := os.umask(0))
    for file in folder.rglob("*"):  # some libraries write for the user's eyes only
        file.chmod((0o777 if file.is_dir() else 0o666) & ~mask)
        sync(file)
    about = {
        "ctkd": ctkd_cli.__version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": pins.job(),
        "files": _checksums(folder),
    }
    (folder / MANIFEST).write_text(json.dumps(about, indent=1), encoding="utf-8")
    sync(folder / MANIFEST)
    sync(folder)


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of files, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # folders cannot be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file of an entry but the manifest."""
    return {
        file.relative_to(folder).as_posix(): file_hash.sha256(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
