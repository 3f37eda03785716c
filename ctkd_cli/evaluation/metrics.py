"""Scores of one arm's predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, log_loss

BINS = 15


def score(
    labels: Sequence[str], gold: Sequence[str], predicted: Sequence[str], probabilities: np.ndarray
) -> dict[str, float]:
    """All scores of one arm with one seed.

    labels: the task's K labels, in the order of the columns of probabilities [N, K].
    """
    index = {label: position for position, label in enumerate(labels)}
    gold_rows = np.array([index[label] for label in gold])
    f1 = {
        average: float(
            f1_score(gold, predicted, labels=list(labels), average=average, zero_division=0)
        )
        for average in ("macro", "weighted")
    }
    return {
        "macro_f1": f1["macro"],
        "weighted_f1": f1["weighted"],
        "accuracy": float(accuracy_score(gold, predicted)),
        "nll": float(log_loss(gold_rows, probabilities, labels=range(len(labels)))),
        "brier": brier(probabilities, gold_rows),
        "ece": expected_calibration_error(probabilities, gold_rows),
    }


def brier(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """Mean squared distance between probabilities [N, K] and one-hot labels [N]; 0 to 2.

    Source: Brier, Monthly Weather Review 1950, the sum over all classes.
    """
    one_hot = np.eye(probabilities.shape[1])[gold]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def expected_calibration_error(
    probabilities: np.ndarray, gold: np.ndarray, bins: int = BINS
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of the top probability.

    Source: Naeini et al., AAAI 2015; as used by Guo et al., ICML 2017 (arXiv 1706.04599).
    """
    return sum(
        share * abs(accuracy - confidence)
        for confidence, accuracy, share in reliability(probabilities, gold, bins)
    )


def reliability(
    probabilities: np.ndarray, gold: np.ndarray, bins: int = BINS
) -> list[tuple[float, float, float]]:
    """(mean confidence, accuracy, share of examples) of each bin that is not empty."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    # Bin b holds confidences in (b / bins, (b + 1) / bins].
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        (float(confidence[inside].mean()), float(right[inside].mean()), float(inside.mean()))
        for b in range(bins)
        if (inside := bin_of == b).any()
    ]
