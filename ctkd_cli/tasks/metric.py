"""The score that a kind of task is judged by: data, so that whatever judges knows none by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A score of many examples together, from counts that add up over examples.

    name: as in metrics.json; title: as people read it. score: totals of the statistics of some
    examples [R, C] -> their scores [R]. bounds: what it can be.
    """

    name: str
    title: str
    score: Callable[[np.ndarray], np.ndarray]
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    meaning: str = ""

    def of(self, statistics: np.ndarray) -> float:
        """The score of examples with these statistics, [N, C]."""
        return float(self.score(statistics.sum(axis=0, keepdims=True))[0])

    def gain(self, first: Any, second: Any) -> Any:
        """How much better the first is; negative where it is worse."""
        return first - second if self.higher_is_better else second - first

    def merit(self, score: float) -> float:
        """A score such that more is better, whatever it is."""
        return score if self.higher_is_better else -score

    def describe(self) -> dict[str, Any]:
        """Plain data that says which it is, for `described`."""
        return {
            "name": self.name,
            "title": self.title,
            "higher_is_better": self.higher_is_better,
            "bounds": list(self.bounds),
        }


def described(data: Mapping[str, Any] | None) -> Metric:
    """A metric that figures can be read by; it cannot score. None: what runs of old are judged
    by."""
    if data is None:
        return MACRO_F1
    low, high = data.get("bounds", (0.0, 1.0))

    def cannot(totals: np.ndarray) -> np.ndarray:
        raise NotImplementedError("the kind of task scores; this only names")

    return Metric(data["name"], data["title"], cannot, data["higher_is_better"], (low, high))


def f1_of_counts(totals: np.ndarray) -> np.ndarray:
    """F1 of each class, [R, K], of totals [R, 3 K]: gold, predicted and correct ones of each class.
    A class with neither counts as 0, as in scikit-learn with zero_division=0."""
    gold, predicted, correct = np.split(totals, 3, axis=-1)
    return np.asarray(2 * correct / np.maximum(gold + predicted, 1))


MACRO_F1 = Metric(
    "macro_f1",
    "macro-F1",
    lambda totals: f1_of_counts(totals).mean(axis=-1),
    meaning="F1, the harmonic mean of precision and recall, averaged over labels, rare or not",
)


def class_counts(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
    """[S, 3 K]: of each position, its gold, predicted and correct class. gold, predicted: [S] label
    indices; what has no label (-1) counts nowhere."""
    known = (gold >= 0)[:, None]
    each = np.eye(n_labels, dtype=np.float32)
    of_gold, of_predicted = each[gold] * known, each[predicted] * known
    return np.concatenate([of_gold, of_predicted, of_gold * of_predicted], axis=1)
