"""Logistic regression as one would fit it to few labels: its strength by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ctkd_cli.distillation import regression
from ctkd_cli.tasks.imbalance import class_weights

STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # scikit-learn's C
FIXED = 1.0  # where a label has one example, and nothing can be left out
FOLDS, FEWER = 5, 3  # parts; the latter beyond MANY rows, where they say as much
MANY = 500
ENOUGH = 2_000  # rows by which a strength is chosen
FLOOR = 1e-12  # of a probability


@dataclass(frozen=True)
class Fitted:
    """model: scikit-learn's, None where there was one class only. classes: [C], the labels that had
    a row, of n_labels. log_likelihood: mean over rows left out, in nats, the classes weighed alike
    where they were balanced; None where none could be left out."""

    model: Any
    classes: np.ndarray
    n_labels: int
    strength: float
    balanced: bool
    log_likelihood: float | None

    def logits(self, features: Any) -> np.ndarray:
        """Log-probabilities [n, K] of features [n, d]."""
        whole = np.full((features.shape[0], self.n_labels), FLOOR)
        whole[:, self.classes] = 1.0 if self.model is None else self.model.predict_proba(features)
        return np.log(np.maximum(whole, FLOOR))

    @property
    def parameters(self) -> int:
        return 0 if self.model is None else self.model.coef_.size + self.model.intercept_.size


def fit(features: Any, gold: np.ndarray, n_labels: int, groups: np.ndarray | None = None) -> Fitted:
    """features: [n, d], an array or sparse; gold: [n] label indices. groups: [n], rows of one group
    are left out together, as the words of a sentence are; None: each by itself."""
    counts = np.bincount(gold, minlength=n_labels)
    classes = np.flatnonzero(counts)
    weighed: regression.ClassWeight = None
    if class_weights(gold, n_labels, "auto") is not None:
        weighed = "balanced"
    balanced = weighed is not None
    if len(classes) < 2:
        return Fitted(None, classes, n_labels, FIXED, balanced, None)
    folds = _folds(gold, groups)
    tried = {} if folds is None else _tried(features, gold, folds, weighed)
    strength = max(tried, key=tried.__getitem__, default=FIXED)
    model = regression.fit(features, gold, strength, class_weight=weighed)
    return Fitted(model, classes, n_labels, strength, balanced, tried.get(strength))


def _folds(gold: np.ndarray, groups: np.ndarray | None) -> np.ndarray | None:
    """[n], the fold of each row, -1 for those beyond ENOUGH; None where nothing can be left out."""
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    shuffled = np.random.default_rng(0).permutation(len(gold))[:ENOUGH]
    rows = np.sort(shuffled)
    counts = np.bincount(gold[rows])
    most = FOLDS if len(rows) <= MANY else FEWER
    n_folds = min(most, int(counts[counts > 0].min()))
    splitter: Any = StratifiedKFold(max(2, n_folds), shuffle=True, random_state=0)
    of = None
    if groups is not None:
        of = groups[rows]
        n_folds = min(most, len(np.unique(of)))
        splitter = GroupKFold(max(2, n_folds))
    if n_folds < 2:
        return None
    found = np.full(len(gold), -1)
    for number, (_, left_out) in enumerate(splitter.split(rows, gold[rows], of)):
        found[rows[left_out]] = number
    return found


def _tried(
    features: Any, gold: np.ndarray, folds: np.ndarray, weighed: regression.ClassWeight
) -> dict[float, float]:
    """The mean log-likelihood of rows left out, by strength."""
    from sklearn.utils.class_weight import compute_sample_weight

    used = folds >= 0
    weights = compute_sample_weight(weighed, gold[used])
    found = {}
    for strength in STRENGTHS:
        likelihood = np.full(len(gold), FLOOR)
        for number in range(folds.max() + 1):
            rest, out = used & (folds != number), folds == number
            if len(np.unique(gold[rest])) < 2:
                continue
            model = regression.fit(features[rest], gold[rest], strength, class_weight=weighed)
            said = model.predict_proba(features[out])
            place = np.searchsorted(model.classes_, gold[out])
            place = np.minimum(place, len(model.classes_) - 1)
            known = model.classes_[place] == gold[out]
            likelihood[out] = np.where(known, said[np.arange(len(said)), place], FLOOR)
        logs = np.log(np.maximum(likelihood[used], FLOOR))
        found[strength] = float(np.average(logs, weights=weights))
    return found
