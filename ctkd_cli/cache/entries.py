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
from ctkd_cli.cache import file_hash, pins, places
from ctkd_cli.cache.places import cache_root
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime import parallel, variables

MANIFEST = "MANIFEST.json"
Sort = Literal[
    "teachers", "knowledge", "arms", "students", "checkpoints", "tokens", "corpora"
]  # fmt: skip
SORTS = get_args(Sort)
FORMAT = 6  # part of every key: raise it when the meaning of a stored file changes


def require_writable() -> None:
    """Raise InputError when there is no cache and none can be made; one that may only be read
    serves as one (places.py). Nothing is made."""
    there = cache_root().absolute()
    if there.is_dir():
        return
    while not os.path.exists(there):  # Path.exists raises where it may not look
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise not_writable(error) from None


def not_writable(error: OSError) -> InputError:
    return InputError(
        Problem(
            "the cache cannot be written",
            where="CTKD_CACHE",
            got=f"{cache_root()}: {error.strerror}",
            allowed="a folder in which files can be made, or one that can be made",
            remedy="CTKD_CACHE=FOLDER ctkd ...",
        )
    )


def is_of_cache(error: OSError) -> bool:
    """Whether an error names a file of the cache."""
    name = error.filename
    return isinstance(name, str | os.PathLike) and Path(name).is_relative_to(cache_root())


def content_key(*parts: Any) -> str:
    """Hash of plain data (numbers, strings, lists, mappings), and of what chooses kernels."""
    text = json.dumps([FORMAT, variables.keyed(), *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Cache:
    """Folders of one sort, by key."""

    def __init__(self, sort: Sort, root: Path | None = None) -> None:
        self._root = root or cache_root()
        self.folder = self._root / sort

    def find(self, key: str) -> Path | None:
        """The entry of a key if it is there and whole."""
        for entry in self._places(key):
            if os.path.lexists(entry):
                pins.pin(entry)  # before it is looked at: nobody removes it meanwhile
                if is_whole(entry):
                    return _used(entry)
        return None

    def lies_ill(self, key: str) -> str:
        """What is wrong with the entry of a key, in words; "" when it is absent or whole."""
        entry = next(filter(os.path.lexists, self._places(key)), None)
        return "" if entry is None or is_whole(entry) else ailment(entry)

    def _places(self, key: str) -> tuple[Path, ...]:
        shared = self.folder / key
        return (shared, places.own(shared, self._root)) if places.has_own(self._root) else (shared,)

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
        found = (self.folder / key, True)
        if parallel.is_main():
            found = self._get(key, make, on_damage, again, together)
        elif together and not parallel.share(True):
            with tempfile.TemporaryDirectory() as thrown_away:
                make(Path(thrown_away))
        return parallel.share(found)

    def drop(self, key: str) -> None:
        """Remove the entry of a key, if it is there."""
        for entry in self._places(key):
            if parallel.is_main() and os.path.lexists(entry):
                with suppress(PermissionError), lock_of(entry):
                    remove(entry)

    def _get(
        self,
        key: str,
        make: Callable[[Path], None],
        on_damage: Callable[[Path], None],
        again: bool,
        together: bool,
    ) -> tuple[Path, bool]:
        found = None if again else self.find(key)
        if found is not None:
            if together:
                parallel.share(True)
            return found, True
        folder = places.writable(self.folder, self._root)
        if places.unreadable(self.folder / key) is not None:
            on_damage(self.folder / key)
            folder = places.own(self.folder, self._root)
        lock = Path(lock_of(folder / key).lock_file)
        if os.path.exists(lock) and not places.may(lock, os.W_OK):  # another user's, for reading
            folder = places.own(self.folder, self._root)
        folder.mkdir(parents=True, exist_ok=True)
        entry = folder / key
        with lock_of(entry):
            found = None if again else self.find(key)  # others may have made it meanwhile
            if together:
                parallel.share(found is not None)
            if found is not None:
                return found, True
            for left in folder.glob(f".{key}-*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            if os.path.lexists(entry) and not again:
                on_damage(entry)
            making = places.new_folder(folder, f".{key}-")
            try:
                make(making)
                _write_manifest(making)
                old = _set_aside(entry)
                making.rename(entry)
                sync(folder)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            return _used(entry), False


def ailment(entry: Path) -> str:
    """What is wrong with an entry that is not whole."""
    return "is damaged" if places.unreadable(entry) is None else "cannot be read by this user"


def lock_of(entry: Path, timeout: float = -1) -> FileLock:
    """Who makes or removes an entry holds this; timeout: seconds to wait for it."""
    return FileLock(entry.with_name(f"{entry.name}.lock"), timeout=timeout)


def remove(entry: Path) -> None:
    """Remove an entry, or whatever lies in its place: gone at once, and then its files."""
    shutil.rmtree(_set_aside(entry), ignore_errors=True)


def _set_aside(entry: Path) -> Path:
    """Move what lies in an entry's place, if anything does, to a folder of its own."""
    aside = places.new_folder(entry.parent, f".{entry.name}-")
    with suppress(FileNotFoundError):
        entry.rename(aside / "old")
    return aside


def _used(entry: Path) -> Path:
    """An entry that is used now, by this job."""
    pins.pin(entry)
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
    (folder / MANIFEST).touch()
    places.hand_down(folder, like=folder / MANIFEST)
    for file in folder.rglob("*"):
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
