"""What running jobs use of the cache, so that nobody removes it from under them.

A job writes the entries that it uses into a file of its own in `.claims`, which it keeps locked.
The kernel drops the lock when the process ends, however it ends: what a killed job has pinned is
free, and its file goes when somebody looks. A pin is made and looked for under the lock of its
entry (entries.py). Where there is no `flock` (Windows) there are no pins; files that are open there
cannot be removed anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ctkd_cli.cache import places

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]

FOLDER = ".claims"  # another name would hide what jobs that run now have pinned


@dataclass
class _Job:
    name: str
    files: dict[Path, tuple[Path, TextIO]] = field(default_factory=dict)  # by the cache's root
    pinned: set[Path] = field(default_factory=set)


_job: _Job | None = None  # of this process


@contextmanager
def working(name: str) -> Iterator[None]:
    """What this process takes from the cache while this lasts is pinned until it ends; what it
    makes is said to be `name`'s."""
    global _job
    before, _job = _job, _Job(name)
    try:
        yield
    finally:
        for file, stream in _job.files.values():
            file.unlink(missing_ok=True)
            with suppress(OSError):  # a disk that is full
                stream.close()
        _job = before


def job() -> str:
    """The name of the job that is working, "" when there is none."""
    return _job.name if _job else ""


def pin(entry: Path) -> None:
    """Pin an entry for the job that is working, if there is one."""
    if _job is None or fcntl is None or entry in _job.pinned:
        return
    root = entry.parent.parent
    with suppress(OSError):  # a cache that may only be read, a file system without locks
        if root not in _job.files:
            _job.files[root] = _locked_file(root / FOLDER)
        _, stream = _job.files[root]
        stream.write(f"{entry.relative_to(root).as_posix()}\n")
        stream.flush()
        _job.pinned.add(entry)


def is_pinned(entry: Path) -> bool:
    """Whether a job uses an entry, this process's own among them."""
    root = entry.parent.parent
    wanted = entry.relative_to(root).as_posix()
    return any(_claims(file, wanted) for file in (root / FOLDER).glob("*"))


def _locked_file(folder: Path) -> tuple[Path, TextIO]:
    """A new file that this process holds until it closes it."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor, file = places.new_file(folder, f"{os.getpid()}-")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if file.exists():  # else somebody took it for a dead job's, before it was locked
            return file, os.fdopen(descriptor, "w", encoding="utf-8")
        os.close(descriptor)


def _claims(file: Path, entry: str) -> bool:
    """Whether a running job pins an entry. What a job pins that this user may not look at is
    not known, and all of it may be; the pins of a job that has ended are none, and go."""
    try:
        with file.open(encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return entry in stream.read().splitlines()
            file.unlink()
    except PermissionError:
        return not places.may(file, os.R_OK)
    except OSError:
        pass
    return False
