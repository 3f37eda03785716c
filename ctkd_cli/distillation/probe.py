"""What a teacher's features say of the target labels, learnt from few examples, without leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.distillation.folds import deal
from ctkd_cli.tasks.split import UNLABELLED

if TYPE_CHECKING:
    from ctkd_cli.distillation.knowledge import Rows

PIECE = 10_000  # rows that are in memory at one time
STRENGTH = 0.1  # inverse regularisation, scikit-learn's C

Judge = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Judge]


def held_out(features: Rows, gold: np.ndarray, fit: Fit) -> np.ndarray:
    """Targets [N, K] for all examples: a labelled one is judged by a fit that left it out.

    features: [N, d]. gold: [N], UNLABELLED where there is none. fit: (features, gold) -> a judge of
    features. Folds are dealt out within each label; where leaving a fold out would lose a label,
    its examples of that label are judged by the fit on all.
    """
    labelled = np.flatnonzero(gold != UNLABELLED)
    judge = fit(features[labelled], gold[labelled])
    targets = np.concatenate([judge(piece).astype(np.float32) for piece in pieces(features)])
    folds = deal(gold[labelled])
    for fold in np.unique(folds):
        out, rest = labelled[folds == fold], labelled[folds != fold]
        if len(np.unique(gold[rest])) == len(np.unique(gold[labelled])):
            targets[out] = fit(features[rest], gold[rest])(features[out])
    return targets


def pieces(features: Rows) -> Iterator[np.ndarray]:
    """Some rows at a time, float64."""
    for start in range(0, len(features), PIECE):
        yield features[start : start + PIECE].astype(np.float64)


@dataclass(frozen=True)
class Probe:
    """A linear head on features: softmax(weight h + bias). probabilities: [N, K] of all examples,
    labelled ones judged by a fit that left them out. weight: [K, d], bias: [K], of the fit on all
    labelled examples."""

    probabilities: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def linear_probe(features: Rows, gold: np.ndarray, strength: float = STRENGTH) -> Probe:
    """scikit-learn's logistic regression on standardised features; every label has an example.

    features: [N, d]. gold: [N], UNLABELLED where there is none.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()  # scales come from all inputs: they need no labels
    for piece in pieces(features):
        scaler.partial_fit(piece)

    def scaled(some: np.ndarray) -> np.ndarray:
        return np.asarray(scaler.transform(some.astype(np.float64)))

    def fitted(labelled: np.ndarray, labels: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=1000).fit(scaled(labelled), labels)

    def fit(labelled: np.ndarray, labels: np.ndarray) -> Judge:
        model = fitted(labelled, labels)
        return lambda new: np.asarray(model.predict_proba(scaled(new)))

    known = np.flatnonzero(gold != UNLABELLED)
    whole = fitted(features[known], gold[known])
    weight, bias = whole.coef_ / scaler.scale_, whole.intercept_
    if len(weight) == 1:  # two labels: one score, shared between them
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Probe(
        probabilities=held_out(features, gold, fit),
        weight=weight,
        bias=bias - weight @ scaler.mean_,
    )
