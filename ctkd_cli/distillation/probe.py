"""What a teacher's features say of the target labels, learnt from few examples, without leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ctkd_cli.distillation import regression
from ctkd_cli.runtime.lazy import special

STRENGTH = 0.1  # inverse regularisation, scikit-learn's C
STRENGTHS = (STRENGTH, 0.01, 1.0, 10.0)  # to choose from

Pieces = Iterable[np.ndarray]  # some rows of all features at a time, [n, d] float64


@dataclass(frozen=True)
class LinearProbe:
    """A linear head on standardised features: softmax(weight (h - mean) / scale + bias), as
    scikit-learn's LogisticRegression has it. weight: [C, d], bias: [C]; one row for two classes.
    classes: [C], the labels that had an example; others of the n_labels get no mass."""

    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    classes: np.ndarray
    n_labels: int

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Probabilities [n, K] of features [n, d]."""
        standard = (features.astype(np.float64) - self.mean) / self.scale
        scores = standard @ self.weight.T + self.bias
        if len(self.weight) == 1:
            second = special.expit(scores[:, 0])
            probabilities = np.stack([1 - second, second], axis=1)
        else:
            probabilities = special.softmax(scores, axis=1)
        if len(self.classes) == self.n_labels:
            return np.asarray(probabilities)
        whole = np.zeros((len(features), self.n_labels))
        whole[:, self.classes] = probabilities
        return whole

    def as_head(self) -> tuple[np.ndarray, np.ndarray]:
        """The same on features as they are: weight [K, d], bias [K]; a label without an example
        has a bias that leaves it nothing."""
        weight = self.weight / self.scale
        bias = self.bias
        if len(weight) == 1:  # two classes: one score, shared between them
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        bias = bias - weight @ self.mean
        if len(self.classes) == self.n_labels:
            return weight, bias
        whole = np.zeros((self.n_labels, weight.shape[1])), np.full(self.n_labels, -1e4)
        whole[0][self.classes], whole[1][self.classes] = weight, bias
        return whole


# features [n, d], gold [n], weights [n] or None
FitProbe = Callable[[np.ndarray, np.ndarray, np.ndarray | None], LinearProbe]


def linear_probe(pieces: Pieces, n_labels: int, strength: float = STRENGTH) -> FitProbe:
    """The same of one strength."""
    return linear_probes(pieces, n_labels, [strength])[0]


def linear_probes(pieces: Pieces, n_labels: int, strengths: Sequence[float]) -> list[FitProbe]:
    """How linear probes are fitted: scikit-learn's logistic regression on standardised features.
    pieces: all features, which decide the scales; they need no labels."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for piece in pieces:
        scaler.partial_fit(piece)

    def fit(
        strength: float,
        features: np.ndarray,
        gold: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> LinearProbe:
        return _fitted(features, gold, weights, strength, scaler.mean_, scaler.scale_, n_labels)

    return [partial(fit, strength) for strength in strengths]


def few_labels_probe(
    features: np.ndarray,
    gold: np.ndarray,
    n_labels: int,
    weights: np.ndarray | None = None,
    strength: float = STRENGTH,
) -> LinearProbe:
    """A probe where only labelled rows are known: one scale for all features, since a handful of
    rows say little of each one's own. features: [n, d], gold: [n], weights: [n]."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    scale = np.full(features.shape[1], max(float((features - mean).std()), 1e-12))
    return _fitted(features, gold, weights, strength, mean, scale, n_labels)


def _fitted(
    features: np.ndarray,
    gold: np.ndarray,
    weights: np.ndarray | None,
    strength: float,
    mean: np.ndarray,
    scale: np.ndarray,
    n_labels: int,
) -> LinearProbe:
    standard = (features.astype(np.float64) - mean) / scale
    found = regression.fit(standard, gold, strength, weights)
    return LinearProbe(found.coef_, found.intercept_, mean, scale, found.classes_, n_labels)
