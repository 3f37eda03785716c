"""Examples outside, positions inside.

Ids, splits, duplicates, the label budget, folds, seeds and intervals are of examples. What a model
answers is of positions: a text or an image has one, a sentence one for each of its words. Flat
arrays hold the positions of all examples one after the other; offsets tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNLABELLED = -1


@dataclass(frozen=True)
class Labels:
    """The labels of N examples.

    values: [S] int64, index into the task's labels, or UNLABELLED. offsets: [N + 1] int64, example
    i has values[offsets[i]:offsets[i + 1]]; None: one each.
    """

    values: np.ndarray
    offsets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    def at(self, row: int) -> np.ndarray:
        """The labels of one example."""
        if self.offsets is None:
            return self.values[row : row + 1]
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def labelled(self) -> np.ndarray:
        """[N] bool: the examples with a label, at one position at least."""
        known = self.values != UNLABELLED
        if self.offsets is None:
            return np.asarray(known)
        return np.asarray(np.diff(np.concatenate([[0], np.cumsum(known)])[self.offsets]) > 0)

    def counts(self, n_labels: int) -> np.ndarray:
        """[K]: the positions that each label has."""
        return np.bincount(self.values[self.values != UNLABELLED], minlength=n_labels)

    def known(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every position with a label: its example, its place in it, the label; [n] each."""
        places = np.flatnonzero(self.values != UNLABELLED)
        if self.offsets is None:
            return places, np.zeros_like(places), self.values[places]
        examples = np.searchsorted(self.offsets, places, side="right") - 1
        return examples, places - self.offsets[examples], self.values[places]

    def of(self, examples: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The labels of some positions, [S]."""
        if self.offsets is None:
            return np.asarray(self.values[examples])
        return np.asarray(self.values[self.offsets[examples] + numbers])

    def select(self, rows: np.ndarray) -> Labels:
        if self.offsets is None:
            return Labels(self.values[rows])
        places, offsets = spread(self.offsets, rows)
        return Labels(self.values[places], offsets)

    def renumbered(self, numbers: Sequence[int] | np.ndarray) -> Labels:
        """With other indices: numbers[k] in place of k."""
        table = np.array([*numbers, UNLABELLED], np.int64)  # the last: UNLABELLED stays
        return Labels(table[self.values], self.offsets)

    def only(self, rows: np.ndarray) -> Labels:
        """With the labels of these examples, all others hidden."""
        shown = np.zeros(len(self), dtype=bool)
        shown[rows] = True
        if self.offsets is not None:
            shown = np.repeat(shown, np.diff(self.offsets))
        return Labels(np.where(shown, self.values, UNLABELLED), self.offsets)

    def hidden(self) -> Labels:
        """None of them known."""
        return Labels(np.broadcast_to(UNLABELLED, len(self.values)), self.offsets)

    def joined(self, other: Labels) -> Labels:
        """One after the other."""
        values = np.concatenate([self.values, other.values])
        if self.offsets is None or other.offsets is None:
            return Labels(values)
        return Labels(values, np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]))


def spread(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flat places [S] of the positions of some examples, in their order, and the offsets
    [n + 1] that tell these examples apart."""
    counts = offsets[rows + 1] - offsets[rows]
    found = np.concatenate([[0], np.cumsum(counts)])
    places = np.arange(found[-1]) + np.repeat(offsets[rows] - found[:-1], counts)
    return places, found
