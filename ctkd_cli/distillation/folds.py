"""Folds for judging labelled examples by a fit that left them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ctkd_cli.tasks.positions import UNLABELLED, Labels

FOLDS = 5
NONE = 0  # the fold of an example without labels, and of fits on all

Judge = Callable[[np.ndarray], np.ndarray]  # features [n, d] -> soft labels [n, K]
# features [n, d], gold [n], weights of them [n] or None -> a judge
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Judge]


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
    fold each. fold: [N] uint8, which of them an example is judged by. unseen: [1 + FOLDS, K] bool,
    labels of which a fold's judge knows nothing, or nothing but what the fold itself told it."""

    judges: Sequence[Judge]
    fold: np.ndarray
    unseen: np.ndarray

    def __call__(self, features: np.ndarray, examples: np.ndarray) -> np.ndarray:
        """Soft labels [n, K] of features [n, d] of these examples, [n]."""
        return np.asarray(by_fold(self.judges, self.fold[examples], features))

    def at(self, rows: np.ndarray, n: int) -> CrossFitted:
        """The same judges of n examples of which these rows are mine; others are judged by the fit
        on all."""
        fold = np.full(n, NONE, np.uint8)
        fold[rows] = self.fold
        return CrossFitted(self.judges, fold, self.unseen)

    def silent(self, examples: np.ndarray, gold: np.ndarray) -> np.ndarray:
        """Where a judge has nothing to say that the position's own label did not put there, [n]
        bool. gold: [n], UNLABELLED where there is none."""
        return np.asarray((gold != UNLABELLED) & self.unseen[self.fold[examples], gold])


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
    fit: Fit,
    features: np.ndarray,
    gold: np.ndarray,
    examples: np.ndarray,
    labels: Labels,
    class_weights: np.ndarray | None = None,
) -> CrossFitted:
    """Judges that leave folds out. features: [n, d], gold: [n], examples: [n], of the positions
    with a label; labels: of all N examples; class_weights: [K], None: all alike. Where leaving a
    fold out would leave fewer than two labels, its examples are judged by the fit on all, which
    says nothing of them."""
    fold = deal_examples(labels)
    mine = fold[examples]
    weights = None if class_weights is None else class_weights[gold]
    whole = fit(features, gold, weights)
    judges: list[Judge] = [whole]
    unseen = np.zeros((1 + FOLDS, 1 + int(gold.max(initial=-1))), dtype=bool)
    for number in range(1, FOLDS + 1):
        rest = mine != number
        left = np.unique(gold[rest])
        if rest.all() or len(left) < 2:
            judges.append(whole)
            unseen[number] = not rest.all()
        else:
            own = None if weights is None else weights[rest]
            judges.append(fit(features[rest], gold[rest], own))
            unseen[number] = ~np.isin(np.arange(unseen.shape[1]), left)
    return CrossFitted(judges, fold, unseen)


def best_cross_fitted(
    fits: Sequence[Fit],
    features: np.ndarray,
    gold: np.ndarray,
    examples: np.ndarray,
    labels: Labels,
    class_weights: np.ndarray | None = None,
) -> CrossFitted:
    """Of several fits the one whose judges give labelled positions the largest log-likelihood, each
    position by a judge that left it out; the first where there is no such judge. Takes what
    cross_fitted does."""
    found = [cross_fitted(fit, features, gold, examples, labels, class_weights) for fit in fits]
    if len(found) == 1:
        return found[0]
    honest = ~found[0].silent(examples, gold)
    if not honest.any():
        return found[0]

    def likelihood(judges: CrossFitted) -> float:
        judged = judges(features[honest], examples[honest])
        mine = judged[np.arange(len(judged)), gold[honest]]
        return float(np.log(np.maximum(mine, 1e-12)).mean())

    return max(found, key=likelihood)
