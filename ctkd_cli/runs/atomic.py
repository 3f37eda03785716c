"""Files that a reader sees whole, old or new, never in part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ctkd_cli.cache.entries import sync


def write_atomically(path: Path, content: str | bytes, durable: bool = True) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    data = content.encode() if isinstance(content, str) else content
    write_through(path, lambda temporary: temporary.write_bytes(data), durable)


def write_through(path: Path, write: Callable[[Path], Any], durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place. durable: wait until it
    is on the disk, so that it outlives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
