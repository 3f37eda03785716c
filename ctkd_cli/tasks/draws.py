"""Which examples are drawn: so many of each label, or a share of all."""

from __future__ import annotations

import numpy as np

from ctkd_cli.data._ids import Ids
from ctkd_cli.tasks.positions import UNLABELLED, Labels


def draw(
    labels: Labels,
    classes: np.ndarray,
    amount: float,
    generator: np.random.Generator,
    left: int = 0,
) -> np.ndarray:
    """Rows of labelled examples, sorted: `amount` of each class (int), or that share of them
    (float). classes: [K], the class that each label counts towards, -1: none.

    With one label each, rows are drawn within each label, and of a share at least one, unless fewer
    than `left` of the label would be left. With
    several, whole examples are drawn until each class has `amount` positions, the rarest class
    first (Yang and Katiyar, EMNLP 2020, arXiv 2010.02405); a share has at least one of each.
    """
    if labels.offsets is None:
        return _within_labels(labels.values, amount, generator, left)
    if isinstance(amount, int):
        return _until_each_has(labels, classes, amount, generator)
    rows = generator.permutation(np.flatnonzero(labels.labelled))
    first = _until_each_has(labels, classes, 1, generator)
    more = rows[~np.isin(rows, first)][: max(0, round(amount * len(rows)) - len(first))]
    return np.sort(np.concatenate([first, more]))


def draw_groups(groups: Ids, share: float, generator: np.random.Generator) -> np.ndarray:
    """Rows of whole groups, drawn until they hold a share of all examples; one group at least, and
    one is left."""
    _, group_of = np.unique(groups.first_seen(), return_inverse=True)
    sizes = np.bincount(group_of)
    order = generator.permutation(len(sizes))
    enough = 1 + int((np.cumsum(sizes[order]) < share * len(groups)).sum())
    return np.flatnonzero(np.isin(group_of, order[: min(enough, len(sizes) - 1)]))


def deal(
    labels: Labels, groups: Ids | None, n_folds: int, generator: np.random.Generator
) -> np.ndarray:
    """The fold of each example, [N], -1 where it has no label: dealt out in turn, within each label
    where examples have one each, and whole groups where there are any."""
    folds = np.full(len(labels), -1, np.int64)
    rows = generator.permutation(np.flatnonzero(labels.labelled))
    if groups is not None:
        _, group_of = np.unique(groups.select(rows).first_seen(), return_inverse=True)
        order = generator.permutation(group_of.max(initial=-1) + 1)
        folds[rows] = order[group_of] % n_folds
        return folds
    if labels.offsets is None:
        rows = rows[np.argsort(labels.values[rows], kind="stable")]
    folds[rows] = np.arange(len(rows)) % n_folds
    return folds


def _within_labels(
    labels: np.ndarray, amount: float, generator: np.random.Generator, left: int
) -> np.ndarray:
    drawn = []
    for label in np.unique(labels[labels != UNLABELLED]):
        rows = generator.permutation(np.flatnonzero(labels == label))
        count = amount
        if not isinstance(amount, int):
            count = min(max(1, round(amount * len(rows))), max(0, len(rows) - left))
        drawn.append(rows[:count])
    return np.sort(np.concatenate(drawn)) if drawn else np.array([], dtype=np.int64)


def _until_each_has(
    labels: Labels, classes: np.ndarray, amount: int, generator: np.random.Generator
) -> np.ndarray:
    examples, _, values = labels.known()
    place = np.empty(len(labels), np.int64)  # of each example in a random order
    place[generator.permutation(len(labels))] = np.arange(len(labels))
    counting = classes[values] >= 0
    examples, counted = examples[counting], classes[values[counting]]
    totals = np.bincount(counted, minlength=1 + int(classes.max(initial=-1)))
    has = np.zeros(len(totals), np.int64)
    chosen = np.zeros(len(labels), dtype=bool)
    for each in np.argsort(totals, kind="stable"):
        holding = np.unique(examples[counted == each])
        for row in holding[np.argsort(place[holding])]:
            if has[each] >= amount:
                break
            if not chosen[row]:
                chosen[row] = True
                has += np.bincount(counted[examples == row], minlength=len(has))
    return np.flatnonzero(chosen)
