"""Scores of one arm's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import rel_entr
from sklearn.metrics import accuracy_score, f1_score, log_loss

from ctkd_cli.tasks.positions import UNLABELLED

if TYPE_CHECKING:
    from ctkd_cli.tasks.kinds.base import Kind
    from ctkd_cli.tasks.positions import Labels

BINS = 15


def score(gold: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """All scores of one arm with one seed; gold, predicted: [N] label indices, probabilities:
    [N, K]."""
    labels = range(probabilities.shape[1])
    weighted = f1_score(gold, predicted, labels=labels, average="weighted", zero_division=0)
    return {
        "macro_f1": macro_f1(gold, predicted, len(labels)),
        "weighted_f1": float(weighted),
        "accuracy": float(accuracy_score(gold, predicted)),
        **confidence_scores(gold, probabilities),
    }


def on_validation(
    kind: Kind, names: Sequence[str], labels: Labels, logits: np.ndarray
) -> dict[str, float]:
    """The scores that settings and weights are selected by; logits: [S, K], of every position."""
    known = labels.values != UNLABELLED
    gold, predicted = labels.values[known], logits[known].argmax(axis=1)
    return {
        "macro_f1": macro_f1(gold, predicted, len(names)),
        "accuracy": float((gold == predicted).mean()),
    }


def macro_f1(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> float:
    """Mean F1 over labels; [N] label indices both. A label that neither has counts as 0."""
    labels = range(n_labels)
    return float(f1_score(gold, predicted, labels=labels, average="macro", zero_division=0))


def confidence_scores(gold: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """How far probabilities [N, K] can be believed: NLL in nats, Brier, ECE."""
    return {
        "nll": float(log_loss(gold, probabilities, labels=range(probabilities.shape[1]))),
        "brier": brier(probabilities, gold),
        "ece": expected_calibration_error(probabilities, gold),
    }


def fidelity(teacher: np.ndarray, student: np.ndarray) -> dict[str, float]:
    """How far a student does as its teacher does; both [N, K] probabilities of the same examples.

    teacher_agreement: share of examples with the same top label. teacher_kl: mean KL(teacher ||
    student) in nats. Source: Stanton et al., NeurIPS 2021 (arXiv 2106.05945).
    """
    same = teacher.argmax(axis=1) == student.argmax(axis=1)
    return {
        "teacher_agreement": float(same.mean()),
        "teacher_kl": float(rel_entr(teacher, np.maximum(student, 1e-12)).sum(axis=1).mean()),
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
