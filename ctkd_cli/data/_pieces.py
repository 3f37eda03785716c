"""Tables that come piece by piece, of any size: small ones in memory, large ones memory-mapped."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from ctkd_cli.cache.places import cache_root, writable
from ctkd_cli.runtime.lazy import pa
from ctkd_cli.runtime.memory import mapped_buffer

PIECE = 5_000  # rows of a piece
IN_MEMORY = 2**25  # bytes of a table that is not written to disk


def gather(pieces: Iterable[pa.RecordBatch]) -> pa.Table | None:
    """Pieces of one schema as a table; None when there is none."""
    pieces, held, size = iter(pieces), [], 0
    for piece in pieces:
        held.append(piece)
        size += piece.nbytes
        if size > IN_MEMORY:
            return _on_disk(chain(held, pieces), piece.schema)
    return pa.Table.from_batches(held) if held else None


def _on_disk(pieces: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """A table in a file that loses its name at once, so that it goes when the process does."""
    folder = writable(cache_root() / "tables", cache_root())
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".arrow", dir=folder)
    os.close(handle)
    try:
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for piece in pieces:
                writer.write_batch(piece)
        return pa.ipc.open_stream(mapped_buffer(Path(name))).read_all()
    finally:
        with contextlib.suppress(OSError):  # a system that keeps open files
            Path(name).unlink()
