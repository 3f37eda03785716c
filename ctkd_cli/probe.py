"""What a teacher's features say of the target labels, learnt from few examples, without leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ctkd_cli.folds import deal
from ctkd_cli.split import UNLABELLED

STRENGTH = 0.1  # inverse regularisation, scikit-learn's C

Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


def held_out(features: np.ndarray, gold: np.ndarray, fit: Fit) -> np.ndarray:
    """Targets [N, K] for all examples: a labelled one is judged by a fit that left it out.

    features: [N, d]. gold: [N], UNLABELLED where there is none. fit: (features, gold) -> a judge of
    features. Folds are dealt out within each label; where leaving a fold out would lose a label,
    its examples of that label are judged by the fit on all.
    """
    labelled = np.flatnonzero(gold != UNLABELLED)
    targets = fit(features[labelled], gold[labelled])(features)
    folds = deal(gold[labelled])
    for fold in np.unique(folds):
        out, rest = labelled[folds == fold], labelled[folds != fold]
        if len(np.unique(gold[rest])) == len(np.unique(gold[labelled])):
            targets[out] = fit(features[rest], gold[rest])(features[out])
    return targets


@dataclass(frozen=True)
class Probe:
    """A linear head on features: softmax(weight h + bias). probabilities: [N, K] of all examples,
    labelled ones judged by a fit that left them out. weight: [K, d], bias: [K], of the fit on all
    labelled examples."""

    probabilities: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def linear_probe(features: np.ndarray, gold: np.ndarray, strength: float = STRENGTH) -> Probe:
    """scikit-learn's logistic regression on standardised features; every label has an example.

    features: [N, d]. gold: [N], UNLABELLED where there is none.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()  # scales come from all inputs: they need no labels
    scaled = scaler.fit_transform(features.astype(np.float64))

    def fitted(labelled: np.ndarray, labels: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=1000).fit(labelled, labels)

    known = gold != UNLABELLED
    whole = fitted(scaled[known], gold[known])
    weight, bias = whole.coef_ / scaler.scale_, whole.intercept_
    if len(weight) == 1:  # two labels: one score, shared between them
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Probe(
        probabilities=held_out(scaled, gold, lambda x, y: fitted(x, y).predict_proba),
        weight=weight,
        bias=bias - weight @ scaler.mean_,
    )
