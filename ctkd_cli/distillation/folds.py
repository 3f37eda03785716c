"""Folds for judging labelled examples by a fit that left them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ctkd_cli.tasks.positions import Labels

FOLDS = 5
NONE = 0  # the fold of an example without labels, and of fits on all

Judge = Callable[[np.ndarray], np.ndarray]  # features [n, d] -> soft labels [n, K]
Fit = Callable[[np.ndarray, np.ndarray], Judge]  # features [n, d], gold [n] -> a judge


def deal(gold: np.ndarray) -> np.ndarray:
    """The fold of each labelled example, [n], dealt out in turn within each label. gold: [n]."""
    folds = np.empty(len(gold), dtype=np.int64)
    for label in np.unique(gold):
        rows = np.flatnonzero(gold == label)
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def deal_examples(labels: Labels) -> np.ndarray:
    """The fold of each of N examples, from 1 to FOLDS, NONE where it has no label: [N] uint8. Dealt
    out within each label or, where examples have several, in turn: all positions of an example
    share its fold."""
    folds = np.full(len(labels), NONE, np.uint8)
    rows = np.flatnonzero(labels.labelled)
    each = deal(labels.values[rows]) if labels.offsets is None else np.arange(len(rows)) % FOLDS
    folds[rows] = 1 + each
    return folds


@dataclass(frozen=True)
class CrossFitted:
    """Judges of features: the first was fitted on all labelled examples, the others without one
    fold each. fold: [N] uint8, which of them an example is judged by."""

    judges: Sequence[Judge]
    fold: np.ndarray

    def __call__(self, features: np.ndarray, examples: np.ndarray) -> np.ndarray:
        """Soft labels [n, K] of features [n, d] of these examples, [n]."""
        return np.asarray(by_fold(self.judges, self.fold[examples], features))

    def at(self, rows: np.ndarray, n: int) -> CrossFitted:
        """The same judges of n examples of which these rows are mine; others are judged by the fit
        on all."""
        fold = np.full(n, NONE, np.uint8)
        fold[rows] = self.fold
        return CrossFitted(self.judges, fold)


def by_fold(judges: Sequence[Judge], folds: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Each row judged by the judge of its fold. features: [n, d], folds: [n] -> [n, K]."""
    present = np.unique(folds)
    if len(present) == 1:
        return np.asarray(judges[present[0]](features))
    found: np.ndarray | None = None
    for fold in present:
        mine = folds == fold
        judged = judges[fold](features[mine])
        if found is None:
            found = np.empty((len(features), judged.shape[1]), judged.dtype)
        found[mine] = judged
    assert found is not None
    return found


def cross_fitted(
    fit: Fit, features: np.ndarray, gold: np.ndarray, examples: np.ndarray, labels: Labels
) -> CrossFitted:
    """Judges that leave folds out. features: [n, d], gold: [n], examples: [n], of the positions
    with a label; labels: of all N examples. Where leaving a fold out would lose a label, its
    examples are judged by the fit on all."""
    fold = deal_examples(labels)
    mine = fold[examples]
    whole = fit(features, gold)
    judges: list[Judge] = [whole]
    for number in range(1, FOLDS + 1):
        rest = mine != number
        if rest.all() or len(np.unique(gold[rest])) < len(np.unique(gold)):
            judges.append(whole)
        else:
            judges.append(fit(features[rest], gold[rest]))
    return CrossFitted(judges, fold)


def best_cross_fitted(
    fits: Sequence[Fit],
    features: np.ndarray,
    gold: np.ndarray,
    examples: np.ndarray,
    labels: Labels,
) -> CrossFitted:
    """Of several fits the one whose judges give labelled positions the largest log-likelihood, each
    position by a judge that left it out; the first where there is no such judge. Takes what
    cross_fitted does."""
    found = [cross_fitted(fit, features, gold, examples, labels) for fit in fits]
    if len(found) == 1:
        return found[0]
    whole = found[0].judges[NONE]
    left_out = np.array([judge is not whole for judge in found[0].judges])
    honest = left_out[found[0].fold[examples]]
    if not honest.any():
        return found[0]

    def likelihood(judges: CrossFitted) -> float:
        judged = judges(features[honest], examples[honest])
        mine = judged[np.arange(len(judged)), gold[honest]]
        return float(np.log(np.maximum(mine, 1e-12)).mean())

    return max(found, key=likelihood)
