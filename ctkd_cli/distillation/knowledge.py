"""What the teacher said about the target inputs: asked once, kept by content, joined by id."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ctkd_cli.data._ids import Ids
from ctkd_cli.runtime import parallel
from ctkd_cli.runtime.memory import mapped_array, new_mapped_array


@dataclass(frozen=True)
class Centred:
    """An array that may lie on disk, [N, d], less a centre that its rows have in common. Rows come
    back whole, float32. So half precision serves features that differ little from each other."""

    stored: np.ndarray
    centre: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.stored[rows] + self.centre)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class Chosen:
    """Some rows of an array that may lie on disk, in an order of their own: [N, ...]. They are
    read when they are asked for, by number, slice or list of numbers."""

    def __init__(self, array: Rows, rows: np.ndarray) -> None:
        self._array: np.ndarray | Centred
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
        return np.asarray(self._array[self._rows[rows]])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


Rows = np.ndarray | Centred | Chosen


@dataclass(frozen=True)
class Knowledge:
    """What a teacher said. logits: [N, K_S] float32. features: [N, d_T] float32.
    head_weight: [K_S, d_T], head_bias: [K_S]. ids: of the N examples, in an order that no reader
    may rely on."""

    ids: Ids
    logits: Rows
    features: Rows
    head_weight: np.ndarray
    head_bias: np.ndarray

    def of(self, ids: Ids) -> tuple[Chosen, Chosen]:
        """Logits and features of some examples. KeyError when one is not there."""
        rows = self.ids.positions(ids)
        return Chosen(self.logits, rows), Chosen(self.features, rows)


IDS = "ids.arrow"
HEAD = ("head_weight", "head_bias")
LARGEST = float(np.finfo(np.float16).max)

Said = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows [n], logits [n, K_S], features [n, d_T]


def read(folder: Path) -> Knowledge:
    """A store on disk; its arrays are memory-mapped."""
    names = ("logits", "features", "centre", *HEAD)
    arrays: dict[str, Any] = {n: mapped_array(folder / f"{n}.npy") for n in names}
    features = Centred(arrays.pop("features"), np.array(arrays.pop("centre")))
    return Knowledge(Ids.read(folder / IDS), features=features, **arrays)


def write(
    folder: Path, ids: Ids, said: Iterable[Said], head_weight: np.ndarray, head_bias: np.ndarray
) -> None:
    """Write a store's files into an empty folder. said: some rows at a time, in any order; no more
    than that is in memory. Of several processes the first one writes.

    Logits are float32: they are few and go through exponentials. Features, less their mean over
    the first rows, are float16, which moves them by 1 in 2,000 of their spread and a loss by less
    than 0.001; float32 where they are too large for that.
    """
    if not parallel.is_main():
        deque(said, maxlen=0)
        return
    ids.write(folder / IDS)
    for name, array in zip(HEAD, (head_weight, head_bias), strict=True):
        np.save(folder / f"{name}.npy", array)
    pieces = iter(said)
    first = next(pieces)
    shapes = [(len(ids), part.shape[1]) for part in first[1:]]
    all_logits = new_mapped_array(folder / "logits.npy", np.float32, shapes[0])
    all_features = new_mapped_array(folder / "features.npy", np.float16, shapes[1])
    centre = first[2].mean(axis=0)
    np.save(folder / "centre.npy", centre)
    for rows, logits, features in chain([first], pieces):
        moved = features - centre
        if all_features.dtype == np.float16 and np.abs(moved).max() > LARGEST:
            all_features = _widened(all_features, folder / "features.npy")
        all_logits[rows], all_features[rows] = logits, moved
    all_logits.flush()
    all_features.flush()


def _widened(stored: np.memmap, file: Path) -> np.memmap:
    """The same array in float32."""
    wide = new_mapped_array(file.with_suffix(".wide"), np.float32, stored.shape)
    for start in range(0, len(stored), 10_000):
        wide[start : start + 10_000] = stored[start : start + 10_000]
    file.with_suffix(".wide").replace(file)
    return wide
