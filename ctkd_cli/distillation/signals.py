"""The teacher's side of a lesson: its knowledge, through the bridge, one row per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from ctkd_cli.data._ids import Ids
from ctkd_cli.distillation.bridges.base import Bridge, LabelMap
from ctkd_cli.distillation.folds import deal
from ctkd_cli.distillation.knowledge import Chosen, Knowledge, Rows
from ctkd_cli.tasks.split import UNLABELLED

if TYPE_CHECKING:
    from torch import Tensor

    from ctkd_cli.distillation.losses.base import Loss

PIECE = 10_000  # examples that go over the bridge at a time
STORED = ("logits", "features")  # per example, read from the store batch by batch
MADE = ("mapped", "mass", "targets")  # per example, from the bridge and the loss


@dataclass(frozen=True)
class Signals:
    """Everything a loss can hear, for N examples in the lesson's order; see TeacherOutputs."""

    logits: Rows  # [N, K_S]
    features: Rows  # [N, d_T]
    mapped: np.ndarray  # [N, K_T]
    mass: np.ndarray  # [N]
    head_weight: np.ndarray  # [K_S, d_T]
    head_bias: np.ndarray  # [K_S]
    label_map: np.ndarray  # [K_S, K_T]
    shared: np.ndarray  # [n, 2]
    targets: np.ndarray  # [N, K_T]

    def rows(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The per-example part for a batch."""
        import torch

        return {
            name: torch.from_numpy(np.ascontiguousarray(getattr(self, name)[rows], np.float32))
            for name in (*STORED, *MADE)
        }

    def for_loss(self, loss: Loss, gold: np.ndarray, n_labels: int) -> Signals:
        """With the soft targets that the loss makes of the features and the labels, if any."""
        targets = loss.soft_targets(self.features, gold, n_labels)
        return self if targets is None else replace(self, targets=targets.astype(np.float32))

    def permuted(self, order: np.ndarray) -> Signals:
        """The same things said, each of another example."""
        moved: dict[str, Any] = {name: Chosen(getattr(self, name), order) for name in STORED}
        return replace(self, **moved, **{name: getattr(self, name)[order] for name in MADE})


def join(
    knowledge: Knowledge,
    ids: Ids,
    gold: np.ndarray,
    bridge: Bridge,
    source_labels: Sequence[str],
    target_labels: Sequence[str],
) -> tuple[Signals, LabelMap]:
    """Join a lesson's examples with what the teacher said, and carry it over the bridge.

    gold: [N] target labels, UNLABELLED where there is none; a learned bridge is fitted on them.
    Raises InputError when the labels cannot be bridged.
    """
    logits, features = knowledge.of(ids)
    labelled = np.flatnonzero(gold != UNLABELLED)
    spoken = softmax(logits[labelled], axis=1)
    label_map = bridge.fit(source_labels, target_labels, spoken, gold[labelled])
    mapped = np.empty((len(ids), len(target_labels)), np.float32)
    mass = np.empty(len(ids), np.float32)
    for start in range(0, len(ids), PIECE):
        piece = slice(start, start + PIECE)
        mapped[piece], mass[piece] = label_map.apply(softmax(logits[piece], axis=1))
    if bridge.learned:
        mapped[labelled], mass[labelled] = _cross_fit(bridge, label_map, spoken, gold[labelled])
    signals = Signals(
        logits=logits,
        features=features,
        mapped=mapped,
        mass=mass,
        head_weight=np.array(knowledge.head_weight),
        head_bias=np.array(knowledge.head_bias),
        label_map=label_map.weights.astype(np.float32),
        shared=shared_labels(source_labels, target_labels),
        targets=np.full(mapped.shape, 1 / len(target_labels), np.float32),
    )
    return signals, label_map


def shared_labels(source_labels: Sequence[str], target_labels: Sequence[str]) -> np.ndarray:
    """[n, 2]: pairs (source label, target label) with the same name."""
    pairs = [
        (row, target_labels.index(label))
        for row, label in enumerate(source_labels)
        if label in target_labels
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _cross_fit(
    bridge: Bridge, label_map: LabelMap, probabilities: np.ndarray, gold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(mapped, mass) of the labelled examples, each through a map that was fitted without it.

    Else an example's own label would leak into its soft target. Folds are dealt out within each
    label; an example whose label would vanish from its fold's fit gets mass 0: it has nothing to
    say that its own label did not put there.
    """
    folds = deal(gold)
    mapped, mass = label_map.apply(probabilities)
    for fold in np.unique(folds):
        out, rest = folds == fold, folds != fold
        missing = out & ~np.isin(gold, gold[rest])
        if rest.any():
            fitted = bridge.fit(
                label_map.source_labels, label_map.target_labels, probabilities[rest], gold[rest]
            )
            mapped[out], mass[out] = fitted.apply(probabilities[out])
        mass[missing] = 0.0
    return mapped, mass
