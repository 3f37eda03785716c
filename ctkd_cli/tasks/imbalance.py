"""Weights of classes that have very different numbers of labelled examples."""

from __future__ import annotations

from typing import Literal

import numpy as np

ClassWeights = Literal["none", "balanced", "sqrt", "auto"]
SKEWED = 3.0  # times the smallest class that the largest has, from which auto weighs them


def class_weights(
    gold: np.ndarray, n_labels: int, how: ClassWeights, one_each: bool = True
) -> np.ndarray | None:
    """[K] float64, a class's weight in a mean over examples; None: all alike. gold: [n], of the
    labelled examples.

    balanced: n / (classes present * n_k), as scikit-learn has it, so that each class counts as much
    as another; sqrt: its root, the mean over examples made 1 as well. auto: balanced where the
    largest class has over three times the examples of the smallest, and examples have one label
    each. A class without examples: 1.
    """
    counts = np.bincount(gold, minlength=n_labels).astype(np.float64)
    there = counts > 0
    if how == "none" or there.sum() < 2:
        return None
    if how == "auto" and not (one_each and counts.max() > SKEWED * counts[there].min()):
        return None
    weights = np.ones(n_labels)
    weights[there] = counts.sum() / (there.sum() * counts[there])
    if how == "sqrt":
        weights[there] = np.sqrt(weights[there])
        weights[there] *= counts.sum() / (weights * counts)[there].sum()
    return weights
