"""Rows of several numbers each, of different lengths, as flat arrays: in memory, or on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain
from pathlib import Path

import numpy as np

from ctkd_cli.runtime.memory import mapped_array, mapped_numbers

COLUMNS = "columns.json"
OFFSETS = "offsets.npy"
PIECE = 1_000_000  # numbers that are sorted at a time


class Ragged(Sequence[Mapping[str, np.ndarray]]):
    """Row i of a column is flat[offsets[i]:offsets[i + 1]]; all columns have the same offsets. A
    column with one value throughout, such as the attention mask of unpadded texts, is that value.
    """

    def __init__(self, columns: Mapping[str, np.ndarray | int], offsets: np.ndarray) -> None:
        self.columns = columns
        self.offsets = offsets

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Sequence[int]]], below: int) -> Ragged:
        """From lists of lists of whole numbers from 0 to `below`, in a type that holds them."""
        first = next(iter(columns.values()))
        offsets = np.cumsum([0, *map(len, first)])
        kind = np.uint16 if below <= 2**16 else np.int32
        flat: dict[str, np.ndarray | int] = {
            name: np.fromiter(chain.from_iterable(rows), kind, count=int(offsets[-1]))
            for name, rows in columns.items()
        }
        return cls(flat, offsets)

    @classmethod
    def join(cls, pieces: Sequence[Ragged]) -> Ragged:
        """One piece after the other, in memory."""
        ends = np.cumsum([0, *(piece.offsets[-1] for piece in pieces)])
        offsets = [piece.offsets[1:] + end for piece, end in zip(pieces, ends, strict=False)]
        columns = {
            name: np.concatenate([np.asarray(piece.columns[name]) for piece in pieces])
            for name in pieces[0].columns
        }
        return cls(columns, np.concatenate([np.zeros(1, np.int64), *offsets]))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets).astype(np.int32)

    def values(self, column: str) -> np.ndarray:
        """The different values of a column, sorted."""
        flat = self.columns[column]
        if isinstance(flat, int):
            return np.array([flat])
        pieces = (flat[start : start + PIECE] for start in range(0, len(flat), PIECE))
        return reduce(np.union1d, pieces, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Mapping[str, np.ndarray]:  # type: ignore[override]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        start, end = int(self.offsets[row]), int(self.offsets[row + 1])
        return {
            name: np.full(end - start, flat, np.int32) if isinstance(flat, int) else flat[start:end]
            for name, flat in self.columns.items()
        }

    @staticmethod
    def write(folder: Path, pieces: Iterable[Ragged]) -> None:
        """One piece after the other into an empty folder, never more than one in memory."""
        offsets, values, kind = [np.zeros(1, np.int64)], dict[str, set[int]](), ""
        for piece in pieces:
            offsets.append(piece.offsets[1:] + offsets[-1][-1])
            for name, flat in piece.columns.items():
                flat = np.asarray(flat)
                kind = kind or flat.dtype.str
                seen = values.setdefault(name, set())
                seen |= {int(flat.min()), int(flat.max())} if flat.size else set()
                with (folder / f"{name}.bin").open("ab") as stream:
                    stream.write(flat.astype(kind).tobytes())
        constant = {name: seen.pop() if len(seen) == 1 else None for name, seen in values.items()}
        for name, value in constant.items():
            if value is not None:
                (folder / f"{name}.bin").unlink()
        np.save(folder / OFFSETS, np.concatenate(offsets))
        (folder / COLUMNS).write_text(json.dumps({"dtype": kind, "columns": constant}))

    @classmethod
    def read(cls, folder: Path) -> Ragged:
        """What `write` wrote, memory-mapped."""
        found = json.loads((folder / COLUMNS).read_text())
        columns = {
            name: _mapped(folder / f"{name}.bin", found["dtype"]) if value is None else value
            for name, value in found["columns"].items()
        }
        return cls(columns, mapped_array(folder / OFFSETS))


def _mapped(file: Path, kind: str) -> np.ndarray:
    if file.stat().st_size == 0:  # which cannot be mapped
        return np.empty(0, kind)
    return mapped_numbers(file, kind)
