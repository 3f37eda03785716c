"""Work that is done once: entries found by content key, complete or absent, never torn.

An entry is a folder, written to a temporary place and renamed when it is whole, under a lock, so
that parallel jobs make it once. MANIFEST.json holds the checksum of each file; an entry that does
not match its manifest is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from ctkd_cli import parallel

MANIFEST = "MANIFEST.json"
FORMAT = 4  # part of every key: raise it when the meaning of a stored file changes


def cache_root() -> Path:
    """`$CTKD_CACHE`, or `~/.cache/ctkd`."""
    return Path(os.environ.get("CTKD_CACHE") or Path.home() / ".cache" / "ctkd")


def content_key(*parts: Any) -> str:
    """Hash of plain data (numbers, strings, lists, mappings)."""
    text = json.dumps([FORMAT, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Cache:
    """Folders of one sort (`teachers`, `knowledge`), by key."""

    def __init__(self, sort: str, root: Path | None = None) -> None:
        self.folder = (root or cache_root()) / sort

    def find(self, key: str) -> Path | None:
        """The entry of a key if it is there and whole."""
        entry = self.folder / key
        return entry if is_whole(entry) else None

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

    def _get(
        self,
        entry: Path,
        make: Callable[[Path], None],
        on_damage: Callable[[Path], None],
        again: bool,
        together: bool,
    ) -> tuple[Path, bool]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f"{entry.name}.lock"):
            there = not again and is_whole(entry)
            if together:
                parallel.share(there)
            if there:
                return entry, True
            if entry.exists():
                if not again:
                    on_damage(entry)
                shutil.rmtree(entry)
            for left in self.folder.glob(f".{entry.name}-*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            making = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=self.folder))
            try:
                make(making)
                _write_manifest(making)
                making.rename(entry)
            finally:
                shutil.rmtree(making, ignore_errors=True)
        return entry, False


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
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest == _checksums(entry))
    except (OSError, ValueError):
        return False


def _write_manifest(folder: Path) -> None:
    os.umask(mask := os.umask(0))
    for file in folder.rglob("*"):  # some libraries write for the user's eyes only
        file.chmod((0o777 if file.is_dir() else 0o666) & ~mask)
    manifest = json.dumps(_checksums(folder), indent=1)
    with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
        stream.write(manifest)
        stream.flush()
        os.fsync(stream.fileno())


def _checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file of an entry but the manifest."""
    sums = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != MANIFEST:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            sums[file.relative_to(folder).as_posix()] = digest
    return sums
