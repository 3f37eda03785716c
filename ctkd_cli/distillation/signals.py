"""The teacher's side of a batch: its knowledge, through the bridge, at every position.

Nothing that is made per example is kept: what a batch needs is computed from the store when its
turn comes, with a few small matrices (label maps, judges of features) and a fold per example.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from ctkd_cli.data._ids import Ids
from ctkd_cli.distillation.bridges._by_type import ByType
from ctkd_cli.distillation.bridges.base import Bridge, LabelMap
from ctkd_cli.distillation.folds import (
    FOLDS,
    CrossFitted,
    Fit,
    best_cross_fitted,
    deal_examples,
)
from ctkd_cli.distillation.knowledge import Knowledge
from ctkd_cli.tasks import imbalance
from ctkd_cli.tasks.imbalance import ClassWeights
from ctkd_cli.tasks.positions import UNLABELLED, Labels

if TYPE_CHECKING:
    from ctkd_cli.distillation.losses.base import Loss


@dataclass(frozen=True)
class Joined:
    """What a teacher knows of N examples, in their order. at: [N], where the store has each."""

    knowledge: Knowledge
    labels: Labels
    at: np.ndarray

    @classmethod
    def of(cls, knowledge: Knowledge, ids: Ids, labels: Labels) -> Joined:
        """Raises KeyError when the store lacks an example."""
        return cls(knowledge, labels, knowledge.ids.positions(ids))

    @cached_property
    def known(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every position with a label that the teacher has too: its example, its row in the
        store, the label; [n] each."""
        examples, numbers, gold = self.labels.known()
        rows = self.knowledge.rows(self.at[examples], numbers)
        there = rows >= 0
        return examples[there], rows[there], gold[there]

    def __iter__(self) -> Iterator[np.ndarray]:
        """The features of all positions, some at a time, [n, d] float64; can be gone over again."""
        for rows in self.knowledge.pieces(self.at):
            yield np.asarray(self.knowledge.features[rows], np.float64)

    def judged_by(self, *fits: Fit, class_weights: ClassWeights = "none") -> CrossFitted:
        """Judges of features, fitted on the labelled positions without an example's own fold: the
        best of these fits, or the first where features know the labels already."""
        examples, rows, gold = self.known
        features = np.asarray(self.knowledge.features[rows], np.float64)
        some = fits[:1] if self.knowledge.adapted else fits
        one_each = self.labels.offsets is None
        n_labels = 1 + int(gold.max(initial=-1))
        weights = imbalance.class_weights(gold, n_labels, class_weights, one_each)
        return best_cross_fitted(some, features, gold, examples, self.labels, weights)


@dataclass(frozen=True)
class Heard:
    """What a teacher says at S positions. logits: [S, K_S]. features: [S, d_T], None where it has
    none. mapped: [S, K_T], its distribution over target labels; mass: [S], how much of it lies on
    source labels that lead anywhere. there: [S] bool, False where it says nothing. examples, gold:
    [S], whose place each is and its label, UNLABELLED where there is none."""

    examples: np.ndarray
    gold: np.ndarray
    logits: np.ndarray
    features: np.ndarray | None
    mapped: np.ndarray
    mass: np.ndarray
    there: np.ndarray


@dataclass(frozen=True)
class Signals:
    """A teacher's words for a training set, through the bridge. maps: the label map that was fitted
    on all labelled positions and, where it was learnt, one without each fold. unseen: [1 + FOLDS,
    K_T] bool, labels that a fold's map has not met. order: [N], the example of which each one hears
    in its place."""

    joined: Joined
    maps: tuple[LabelMap, ...]
    fold: np.ndarray
    unseen: np.ndarray
    order: np.ndarray | None = None

    @property
    def knowledge(self) -> Knowledge:
        return self.joined.knowledge

    @property
    def label_map(self) -> LabelMap:
        return self.maps[0]

    def heard(self, examples: np.ndarray, numbers: np.ndarray) -> Heard:
        """At some positions: their examples [S], those of one example together, and which places of
        it they are [S]."""
        if self.order is not None:
            examples, numbers = self._moved(examples, numbers)
        knowledge = self.knowledge
        rows = knowledge.rows(self.joined.at[examples], numbers)
        there = rows >= 0
        rows = np.maximum(rows, 0)
        logits = np.asarray(knowledge.logits[rows], np.float32)
        features = knowledge.features
        mapped, mass = self._mapped(softmax(logits, axis=1), examples, numbers)
        return Heard(
            examples,
            self.joined.labels.of(examples, numbers),
            logits,
            None if features is None else np.asarray(features[rows], np.float32),
            mapped.astype(np.float32),
            np.where(there, mass, 0).astype(np.float32),
            there,
        )

    def _mapped(
        self, probabilities: np.ndarray, examples: np.ndarray, numbers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(mapped [S, K_T], mass [S]): each labelled example through a map that was fitted without
        it. Else its own label would leak into its soft target. One whose label would vanish from
        its fold's fit gets mass 0: it has nothing to say that its own label did not put there."""
        if len(self.maps) == 1:
            return self.maps[0].apply(probabilities)
        fold = self.fold[examples]
        mapped = np.empty((len(examples), len(self.label_map.target_labels)))
        mass = np.empty(len(examples))
        for number in np.unique(fold):
            mine = fold == number
            mapped[mine], mass[mine] = self.maps[number].apply(probabilities[mine])
        gold = self.joined.labels.of(examples, numbers)
        mass[(gold != UNLABELLED) & self.unseen[fold, gold]] = 0.0
        return mapped, mass

    def _moved(self, examples: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The position that each one hears of: of another example, the same place or, where that
        has fewer, one as far on from its beginning."""
        assert self.order is not None
        others = self.order[examples]
        offsets = self.joined.labels.offsets
        if offsets is None:
            return others, numbers
        sizes = np.maximum(1, (offsets[others + 1] - offsets[others]))
        moved = numbers % sizes
        return others, moved

    def targets(self, loss: Loss, class_weights: ClassWeights) -> CrossFitted | None:
        """What a loss makes of the features and the labels, if anything."""
        fits = loss.soft_targets(self.joined, len(self.label_map.target_labels))
        return self.joined.judged_by(*fits, class_weights=class_weights) if fits else None


def through_bridge(
    knowledge: Knowledge,
    ids: Ids,
    labels: Labels,
    bridge: Bridge | ByType,
    target_labels: Sequence[str],
) -> Signals:
    """Join a training set's examples with what the teacher said, and carry it over the bridge. A
    learned bridge is fitted on the positions with a label.

    Raises InputError when the labels cannot be bridged.
    """
    joined = Joined.of(knowledge, ids, labels)
    examples, rows, gold = joined.known
    spoken = softmax(np.asarray(knowledge.logits[rows], np.float32), axis=1)
    whole = bridge.fit(knowledge.labels, target_labels, spoken, gold)
    fold = deal_examples(labels)
    unseen = np.zeros((1 + FOLDS, len(target_labels)), dtype=bool)
    if not bridge.learned:
        return Signals(joined, (whole,), fold, unseen)
    maps = [whole]
    for number in range(1, 1 + FOLDS):
        rest = fold[examples] != number
        if rest.all() or not rest.any():
            maps.append(whole)
        else:
            maps.append(bridge.fit(knowledge.labels, target_labels, spoken[rest], gold[rest]))
        unseen[number] = ~np.isin(np.arange(len(target_labels)), gold[rest])
    return Signals(joined, tuple(maps), fold, unseen)


def shared_labels(source_labels: Sequence[str], target_labels: Sequence[str]) -> np.ndarray:
    """[n, 2]: pairs (source label, target label) with the same name."""
    pairs = [
        (row, target_labels.index(label))
        for row, label in enumerate(source_labels)
        if label in target_labels
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
