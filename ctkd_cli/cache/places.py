"""Where the cache lies, and who may do what there. Several users may share one.

What is written gets the permissions that the system gives new files and folders there: by the
umask, and by what the folder hands down (its group, access lists). Where this user may read and
not write, what is made lies in a folder of this process, and goes with it.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from ctkd_cli.errors import InputError, Problem


def cache_root() -> Path:
    """`$CTKD_CACHE`, or `~/.cache/ctkd`. Raises InputError when there is no home folder."""
    named = os.environ.get("CTKD_CACHE")
    try:
        return Path(named).expanduser() if named else Path.home() / ".cache" / "ctkd"
    except RuntimeError as error:
        raise InputError(
            Problem(
                "there is no home folder to keep things in",
                where="CTKD_CACHE",
                got=named or f"nothing ({error})",
                remedy="CTKD_CACHE=FOLDER ctkd run ..., with a folder that may be written",
            )
        ) from None


def writable(folder: Path, root: Path) -> Path:
    """A folder of the cache at `root`, or the one that stands in for it where it may only be
    read."""
    places = (folder.absolute(), *folder.absolute().parents)
    there = next(place for place in places if os.path.exists(place))
    return folder if may(there, os.W_OK | os.X_OK) else own(folder, root)


def own(folder: Path, root: Path) -> Path:
    """The folder of this process that stands in for one of the cache at `root`."""
    return _own_root(root) / folder.relative_to(root)


def has_own(root: Path) -> bool:
    """Whether this process has had to make anything of its own for the cache at `root`."""
    return root in _own_roots


_own_roots: dict[Path, Path] = {}


def _own_root(root: Path) -> Path:
    if root in _own_roots:
        return _own_roots[root]
    made = Path(tempfile.mkdtemp(prefix="ctkd-cache-"))
    maker = os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # not a child of it
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(remove)
    _own_roots[root] = made
    return made


def new_folder(parent: Path, prefix: str) -> Path:
    """A folder with a new name. Not mkdtemp's, which is for its maker's eyes only."""
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(6)}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


def new_file(parent: Path, prefix: str) -> tuple[int, Path]:
    """The same for a file, which is open."""
    while True:
        file = parent / f"{prefix}{secrets.token_hex(6)}"
        try:
            return os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666), file
        except FileExistsError:
            continue


def hand_down(folder: Path, like: Path) -> None:
    """Give all in a folder the permissions that it has itself, and files those of the file `like`:
    some libraries write for the user's eyes only."""
    of_folders, of_files = folder.stat().st_mode & 0o7777, like.stat().st_mode & 0o7777
    for path in folder.rglob("*"):
        path.chmod(of_folders if path.is_dir() else of_files)


def unreadable(entry: Path) -> Path | None:
    """What of an entry this user may not read, if anything."""
    for path in (entry, *entry.rglob("*")):
        needed = os.R_OK | (os.X_OK if os.path.isdir(path) else 0)
        if os.path.lexists(path) and not may(path, needed):
            return path
    return None


def may(path: Path, what: int) -> bool:
    """`os.access`, as the user that this process acts for."""
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)
