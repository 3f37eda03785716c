"""Memory that a process holds without need: what its allocators keep, and pages of mapped files."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ctkd_cli.runtime.lazy import pa

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def mapped_array(file: Path) -> np.memmap:
    """A .npy file, memory-mapped."""
    array: np.memmap = np.load(file, mmap_mode="r")
    return _noted(array)


def new_mapped_array(file: Path, kind: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """The same, to be filled."""
    array: np.memmap = np.lib.format.open_memmap(file, "w+", kind, shape)
    return _noted(array)


def mapped_numbers(file: Path, kind: str) -> np.memmap:
    """A file of numbers and nothing else, memory-mapped."""
    return _noted(np.memmap(file, kind, mode="r"))


def mapped_buffer(file: Path) -> pa.Buffer:
    """A file for Arrow to read, memory-mapped."""
    with file.open("rb") as stream:
        found = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    _maps.add(found)
    return pa.py_buffer(found)


def _noted(array: np.memmap) -> np.memmap:
    found: Any = getattr(array, "_mmap", None)
    if found is not None:
        _maps.add(found)
    return array


def forget_pages() -> None:
    """Take the pages of mapped files out of this process, so that long readings do not grow. They
    come back when they are needed, from the system's cache as a rule."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for found in list(_maps):
            with contextlib.suppress(OSError, ValueError):
                found.madvise(mmap.MADV_DONTNEED)


def release() -> None:
    """Return to the system what is free: reading a large table takes more for a moment than the
    rest of the run."""
    forget_pages()
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # another C library than GNU's
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@cache
def freeze_gc() -> None:
    """Have Python's collector of garbage leave alone what the imports have made, half a million
    objects that stay: each full pass, of which a training makes some, would look at them all."""
    gc.collect()
    gc.freeze()
