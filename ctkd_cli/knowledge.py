"""What the teacher said about the target inputs: asked once, kept by content, joined by id."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike

from ctkd_cli import parallel
from ctkd_cli.split import Ids


class Chosen:
    """Some rows of an array that may lie on disk, in an order of their own: [N, ...]. They are
    read when they are asked for, by number, slice or list of numbers, as float32."""

    def __init__(self, array: np.ndarray | Chosen, rows: np.ndarray) -> None:
        self._array: np.ndarray
        self._rows: np.ndarray
        if isinstance(array, Chosen):
            self._array, self._rows = array._array, array._rows[rows]
        else:
            self._array, self._rows = array, rows

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._rows), *self._array.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        return np.asarray(self._array[self._rows[rows]], np.float32)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


Rows = np.ndarray | Chosen


@dataclass(frozen=True)
class Knowledge:
    """What a teacher said. logits: [N, K_S] float32. features: [N, d_T], on disk float16, or
    float32 where they are too large. head_weight: [K_S, d_T], head_bias: [K_S]. ids: of the N
    examples, in an order that no reader may rely on."""

    ids: Ids
    logits: Rows
    features: Rows
    head_weight: np.ndarray
    head_bias: np.ndarray

    def of(self, ids: Ids) -> tuple[Chosen, Chosen]:
        """Logits and features of some examples. KeyError when one is not there."""
        rows = self.ids.positions(ids)
        return Chosen(self.logits, rows), Chosen(self.features, rows)


HEAD = ("head_weight", "head_bias")
# Half precision moves a feature by 1 in 2,000 at most, and a loss by less than 0.001. Logits are
# few and go through exponentials.
PRECISION: dict[str, DTypeLike] = {"logits": np.float32, "features": np.float16}
PER_EXAMPLE = tuple(PRECISION)
LARGEST = float(np.finfo(np.float16).max)

Said = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows [n], logits [n, K_S], features [n, d_T]


def read(folder: Path) -> Knowledge:
    """A store on disk; its arrays are memory-mapped."""
    ids = Ids(pq.read_table(folder / "ids.parquet")["id"].cast(pa.large_string()).combine_chunks())
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in (*PER_EXAMPLE, *HEAD)
    }
    return Knowledge(ids, **arrays)


def write(
    folder: Path, ids: Ids, said: Iterable[Said], head_weight: np.ndarray, head_bias: np.ndarray
) -> None:
    """Write a store's files into an empty folder. said: some rows at a time, in any order; no more
    than that is in memory. Of several processes the first one writes."""
    if not parallel.is_main():
        deque(said, maxlen=0)
        return
    pq.write_table(pa.table({"id": ids.array}), folder / "ids.parquet")
    for name, array in zip(HEAD, (head_weight, head_bias), strict=True):
        np.save(folder / f"{name}.npy", array)
    files: dict[str, np.memmap] = {}
    for rows, *parts in said:
        for name, part in zip(PER_EXAMPLE, parts, strict=True):
            if name not in files:
                shape = (len(ids), part.shape[1])
                files[name] = _new(folder / f"{name}.npy", PRECISION[name], shape)
            if files[name].dtype == np.float16 and np.abs(part).max() > LARGEST:
                files[name] = _widened(files[name], folder / f"{name}.npy")
            files[name][rows] = part
    for file in files.values():
        file.flush()


def _new(file: Path, kind: DTypeLike, shape: tuple[int, int]) -> np.memmap:
    made: np.memmap = np.lib.format.open_memmap(file, "w+", kind, shape)
    return made


def _widened(stored: np.memmap, file: Path) -> np.memmap:
    """The same array in float32, for what half precision cannot hold."""
    wide = _new(file.with_suffix(".wide"), np.float32, stored.shape)
    for start in range(0, len(stored), 10_000):
        wide[start : start + 10_000] = stored[start : start + 10_000]
    file.with_suffix(".wide").replace(file)
    return wide
