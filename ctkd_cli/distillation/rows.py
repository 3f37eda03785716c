"""Arrays that lie on disk in less room than they take: rows come back whole, float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ctkd_cli.distillation.folds import CrossFitted

Rows = Any  # [S, ...], read by number, slice or list of numbers: an array, or one of these


@dataclass(frozen=True)
class Centred:
    """An array that may lie on disk, [S, d], less a centre that its rows have in common. So half
    precision serves features that differ little from each other."""

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


@dataclass(frozen=True)
class Picked:
    """Some rows of an array, in an order of their own. at: [n], which."""

    stored: Rows
    at: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.at), *self.stored.shape[1:])

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.stored[self.at[rows]])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


@dataclass(frozen=True)
class Largest:
    """Log-probabilities [S, K] of which each row's k largest are kept. labels: [S, k], whose they
    are; values: [S, k]. What they leave of the mass is the others' in equal parts."""

    labels: np.ndarray
    values: np.ndarray
    n_labels: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.labels), self.n_labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        values = np.asarray(self.values[rows], np.float64)
        left = np.maximum(1 - np.exp(values).sum(axis=-1, keepdims=True), 1e-12)
        others = np.log(left / (self.n_labels - values.shape[-1]))
        whole = np.repeat(others, self.n_labels, axis=-1)
        np.put_along_axis(whole, np.asarray(self.labels[rows], np.int64), values, axis=-1)
        return whole.astype(np.float32)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


@dataclass(frozen=True)
class Judged:
    """Log-probabilities [S, K] that judges give features [S, d], made when they are asked for;
    offsets: of the inputs that the judges' folds are about, None where each has one row."""

    features: Rows
    judges: CrossFitted
    offsets: np.ndarray | None = None

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        inputs = rows
        if self.offsets is not None:
            inputs = np.searchsorted(self.offsets, rows, side="right") - 1
        judged = self.judges(np.asarray(self.features[rows], np.float64), inputs)
        return np.asarray(np.log(np.maximum(judged, 1e-12)), np.float32)


def largest(logits: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels [n, k] of the k largest logits [n, K], and their log-probabilities [n, k]."""
    from scipy.special import log_softmax

    labels = np.argpartition(-logits, k - 1, axis=-1)[:, :k]
    logs = log_softmax(logits.astype(np.float64), axis=-1)
    return labels, np.take_along_axis(logs, labels, axis=-1)
