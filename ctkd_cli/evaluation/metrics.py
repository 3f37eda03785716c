"""Scores of one arm's predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.special import rel_entr
from sklearn.metrics import f1_score, log_loss

from ctkd_cli.tasks.kinds.base import SURE, codes_of

if TYPE_CHECKING:
    from ctkd_cli.tasks.kinds.base import Kind
    from ctkd_cli.tasks.positions import Labels

BINS = 15
SELECTS = 50  # labelled examples of validation: which arm is best on fewer is luck


@dataclass(frozen=True)
class Answers:
    """One arm on N test examples, at S positions. gold: [S] label indices, -1 where there is no
    label; predicted: [S]. sure: [S], the probability of what was predicted. probabilities: [S, K],
    None where they were not kept. offsets: [N + 1], of each example's positions; None: one each."""

    gold: np.ndarray
    predicted: np.ndarray
    sure: np.ndarray
    probabilities: np.ndarray | None
    offsets: np.ndarray | None

    @classmethod
    def of(cls, table: pa.Table, labels: Sequence[str]) -> Answers:
        """table: rows of predictions.parquet."""
        columns = {name: table[name].combine_chunks() for name in ("gold", "predicted")}
        gold, offsets = codes_of(columns["gold"], labels)
        predicted, _ = codes_of(columns["predicted"], labels)
        if offsets is not None:
            sure = table[SURE].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            return cls(gold, predicted, sure, None, offsets)
        each = np.stack([table[f"p({label})"].to_numpy() for label in labels], axis=1)
        return cls(gold, predicted, each[np.arange(len(gold)), predicted], each, None)

    def scaled(self, temperature: float, at: Callable[[np.ndarray, float], np.ndarray]) -> Answers:
        """The same at another temperature."""
        assert self.probabilities is not None
        each = at(self.probabilities, temperature)
        sure = each[np.arange(len(each)), self.predicted]
        return replace(self, probabilities=each, sure=sure)

    def worst(self, limit: int) -> list[int]:
        """Examples with errors: with one position the most certain first, else those with most
        errors, and of these the most certain."""
        wrong = (self.gold >= 0) & (self.predicted != self.gold)
        weight = wrong * self.sure
        if self.offsets is None:
            found = np.flatnonzero(wrong)
            return [*map(int, found[np.argsort(-weight[found], kind="stable")][:limit])]
        totals = np.concatenate([[0], np.cumsum(wrong + 1e-3 * weight)])
        errors = np.diff(totals[self.offsets])
        order = np.argsort(-errors, kind="stable")
        return [*map(int, order[errors[order] > 0][:limit])]


def score(
    kind: Kind, names: Sequence[str], gold: pa.Array, predicted: pa.Array
) -> dict[str, float]:
    """What a kind of task is judged by, under its name, and beside it the weighted F1 and the
    accuracy over all positions with a label. gold, predicted: as predictions.parquet has them."""
    metric = kind.metric(names)
    (codes, _), (said, _) = codes_of(gold, names), codes_of(predicted, names)
    known = codes >= 0
    weighted = f1_score(
        codes[known], said[known], labels=range(len(names)), average="weighted", zero_division=0
    )
    return {
        metric.name: metric.of(kind.statistics(gold, predicted, names)),
        "weighted_f1": float(weighted),
        "accuracy": float((codes[known] == said[known]).mean()),
    }


def on_validation(
    kind: Kind, names: Sequence[str], labels: Labels, logits: np.ndarray
) -> dict[str, float]:
    """The scores that settings and weights are selected by; logits: [S, K], of every position."""
    gold = kind.gold(labels, names)
    predicted = kind.answer(logits, labels.offsets, names)["predicted"]
    found = score(kind, names, gold, predicted)
    del found["weighted_f1"]
    return found


def confidence_scores(answers: Answers) -> dict[str, float]:
    """How far probabilities can be believed: NLL in nats, Brier, ECE; ECE alone where only that of
    the answer was kept."""
    known = answers.gold >= 0
    gold, right = answers.gold[known], (answers.predicted == answers.gold)[known]
    ece = expected_calibration_error(answers.sure[known], right)
    if answers.probabilities is None:
        return {"ece": ece}
    each = answers.probabilities[known]
    return {
        "nll": float(log_loss(gold, each, labels=range(each.shape[1]))),
        "brier": brier(each, gold),
        "ece": ece,
    }


def fidelity(teacher: Answers, student: Answers) -> dict[str, float]:
    """How far a student does as its teacher does, on the same examples.

    teacher_agreement: share of positions with the same top label. teacher_kl: mean KL(teacher ||
    student) in nats, where all probabilities were kept. Source: Stanton et al., NeurIPS 2021 (arXiv
    2106.05945).
    """
    found = {"teacher_agreement": float((teacher.predicted == student.predicted).mean())}
    p, q = teacher.probabilities, student.probabilities
    if p is not None and q is not None:
        found["teacher_kl"] = float(rel_entr(p, np.maximum(q, 1e-12)).sum(axis=1).mean())
    return found


def brier(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """Mean squared distance between probabilities [N, K] and one-hot labels [N]; 0 to 2.

    Source: Brier, Monthly Weather Review 1950, the sum over all classes.
    """
    one_hot = np.eye(probabilities.shape[1])[gold]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def expected_calibration_error(sure: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of the top probability. sure,
    right: [S].

    Source: Naeini et al., AAAI 2015; as used by Guo et al., ICML 2017 (arXiv 1706.04599).
    """
    return sum(
        share * abs(accuracy - confidence)
        for confidence, accuracy, share in reliability(sure, right, bins)
    )


def reliability(
    sure: np.ndarray, right: np.ndarray, bins: int = BINS
) -> list[tuple[float, float, float]]:
    """(mean confidence, accuracy, share of positions) of each bin that is not empty. sure, right:
    [S]."""
    # Bin b holds confidences in (b / bins, (b + 1) / bins].
    bin_of = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return [
        (float(sure[inside].mean()), float(right[inside].mean()), float(inside.mean()))
        for b in range(bins)
        if (inside := bin_of == b).any()
    ]
