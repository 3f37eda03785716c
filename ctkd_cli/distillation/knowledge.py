"""What a teacher said about the target inputs: asked once, kept by content, joined by id."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from ctkd_cli.data._ids import Ids
from ctkd_cli.distillation.rows import Centred, Judged, Largest, Rows, largest
from ctkd_cli.runtime import parallel
from ctkd_cli.runtime.memory import mapped_array, new_mapped_array
from ctkd_cli.tasks.positions import spread


@dataclass(frozen=True)
class Head:
    """A teacher's final linear layer. weight: [K_S, d_T], bias: [K_S]."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Knowledge:
    """What a teacher said of N target inputs, at S positions of theirs.

    ids: of the inputs, in an order that no reader may rely on. logits: [S, K_S] float32. features:
    [S, d_T] float32; None, and so is head, for a teacher that has none. offsets: [N + 1], input i
    has the positions offsets[i] to offsets[i + 1]; numbers: [S], which place of its input each of
    them is; both None where each input has one. teacher: the name of its source; labels: its own;
    key: of what decided its words. adapted: whether the features have learnt from the labels of
    labelled examples. way: how the teacher was adapted to the target, if it was.
    """

    ids: Ids
    logits: Rows
    features: Rows = None
    head: Head | None = None
    offsets: np.ndarray | None = None
    numbers: np.ndarray | None = None
    teacher: str = ""
    labels: tuple[str, ...] = ()
    key: str = ""
    adapted: bool = False
    way: str = ""

    def probabilities(self, other: Knowledge, rows: np.ndarray) -> np.ndarray:
        """What this teacher, with the head that it has here, says at some rows of what it has said
        of other inputs, [n, K_S]."""
        from scipy.special import softmax

        if isinstance(self.logits, Judged):
            whole, *_ = self.logits.judges.judges
            return whole(np.asarray(other.features[rows], np.float64))
        return np.asarray(softmax(np.asarray(other.logits[rows], np.float32), axis=1))

    def rows(self, inputs: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Where the store has some positions, [n]; -1 where the teacher has none. inputs: [n], rows
        of `ids`, those of one input together; numbers: [n], which place of it each one is."""
        if self.offsets is None or self.numbers is None:
            return inputs
        found = np.full(len(inputs), -1)
        starts = np.flatnonzero(np.diff(inputs, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(inputs)], strict=True):
            first, last = self.offsets[inputs[start]], self.offsets[inputs[start] + 1]
            own, wanted = self.numbers[first:last], numbers[start:end]
            place = np.minimum(np.searchsorted(own, wanted), max(0, len(own) - 1))
            there = own[place] == wanted if len(own) else np.zeros(len(wanted), dtype=bool)
            found[start:end] = np.where(there, first + place, -1)
        return found

    def pieces(self, inputs: np.ndarray) -> Iterator[np.ndarray]:
        """The rows of all positions of some inputs, in their order, some at a time."""
        for start in range(0, len(inputs), PIECE):
            some = inputs[start : start + PIECE]
            yield some if self.offsets is None else spread(self.offsets, some)[0]


PIECE = 10_000  # inputs whose rows are in memory at one time
IDS = "ids.arrow"
OPTIONAL = ("head_weight", "head_bias", "offsets", "numbers", "kept_labels", "features", "centre")
LARGEST = float(np.finfo(np.float16).max)

# rows [n] of the store, logits [n, K_S], features [n, d_T] or None
Said = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def read(folder: Path, teacher: str = "", labels: tuple[str, ...] = (), key: str = "") -> Knowledge:
    """A store on disk; its arrays are memory-mapped."""
    logits: Rows = mapped_array(folder / "logits.npy")
    found = {
        name: mapped_array(folder / f"{name}.npy")
        for name in OPTIONAL
        if (folder / f"{name}.npy").exists()
    }
    if "kept_labels" in found:
        logits = Largest(found["kept_labels"], logits, int(np.load(folder / "n_labels.npy")))
    features, head = None, None
    if "features" in found:
        features = Centred(found["features"], np.array(found["centre"]))
    if "head_weight" in found:
        head = Head(np.array(found["head_weight"]), np.array(found["head_bias"]))
    return Knowledge(
        Ids.read(folder / IDS), logits, features, head, found.get("offsets"), found.get("numbers"),
        teacher, labels, key,
    )  # fmt: skip


def write(
    folder: Path,
    ids: Ids,
    said: Iterable[Said],
    head: Head | None = None,
    offsets: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
    top_k: int | None = None,
) -> None:
    """Write a store's files into an empty folder. said: some rows at a time, in any order; no more
    than that is in memory. top_k: logits that are kept of each row, None: all. Of several processes
    the first one writes.

    Logits are float32: they are few and go through exponentials. Features, less their mean over
    the first rows, are float16, which moves them by 1 in 2,000 of their spread and a loss by less
    than 0.001; float32 where they are too large for that.
    """
    if not parallel.is_main():
        deque(said, maxlen=0)
        return
    ids.write(folder / IDS)
    if head is not None:
        np.save(folder / "head_weight.npy", head.weight)
        np.save(folder / "head_bias.npy", head.bias)
    if offsets is not None and numbers is not None:
        np.save(folder / "offsets.npy", offsets)
        np.save(folder / "numbers.npy", np.asarray(numbers, np.int32))
    n = len(ids) if offsets is None else int(offsets[-1])
    pieces = iter(said)
    first = next(pieces)
    n_labels = first[1].shape[1]
    k = None if top_k is None or top_k >= n_labels else top_k
    all_logits = new_mapped_array(folder / "logits.npy", np.float32, (n, k or n_labels))
    if k is not None:
        np.save(folder / "n_labels.npy", n_labels)
        kept = new_mapped_array(folder / "kept_labels.npy", np.int32, (n, k))
    features = None if first[2] is None else _Features(folder, n, first[2])
    for rows, logits, seen in chain([first], pieces):
        if k is not None:
            kept[rows], logits = largest(logits, k)
        all_logits[rows] = logits
        if features is not None and seen is not None:
            features.write(rows, seen)
    for array in (all_logits, *([kept] if k is not None else [])):
        array.flush()
    if features is not None:
        features.array.flush()


class _Features:
    """The features of a store while it is written; first: some of them."""

    def __init__(self, folder: Path, n: int, first: np.ndarray) -> None:
        self._file = folder / "features.npy"
        self._centre = first.mean(axis=0)
        np.save(folder / "centre.npy", self._centre)
        self.array = new_mapped_array(self._file, np.float16, (n, first.shape[1]))

    def write(self, rows: np.ndarray, features: np.ndarray) -> None:
        moved = features - self._centre
        if self.array.dtype == np.float16 and np.abs(moved).max() > LARGEST:
            self._widen()
        self.array[rows] = moved

    def _widen(self) -> None:
        """The same array in float32."""
        wide = new_mapped_array(self._file.with_suffix(".wide"), np.float32, self.array.shape)
        for start in range(0, len(self.array), PIECE):
            wide[start : start + PIECE] = self.array[start : start + PIECE]
        self._file.with_suffix(".wide").replace(self._file)
        self.array = wide
