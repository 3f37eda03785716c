"""How several teachers share lambda: L = CE + lambda * sum_k w_k(x) L_k, with sum_k w_k(x) = 1.

| fusion | w_k |
|---|---|
| uniform | the same for all |
| leep | softmax over teachers of the cross-validated LEEP gain on labelled target train |
| confidence | of each position: proportional to 1 - H(p_k(x)) / log K_k |
| merge | no weights: the sources become one task, with one teacher |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from ctkd_cli.distillation.signals import Signals

Fusion = Literal["merge", "uniform", "leep", "confidence"]
SHARPNESS = 10.0  # per nat: a gain of 0.1 nats more is worth a factor of e in weight


@dataclass(frozen=True)
class Weighting:
    """shares: [V], the mean weight of each teacher; fixed: whether it is the same everywhere."""

    shares: tuple[float, ...]
    fixed: bool = True

    def at(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        """[V, S]: the weight of each teacher at some positions; they sum to 1 over the teachers.
        logits: of each teacher there, [S, K_k]."""
        if not self.fixed:
            return confidence(logits)
        return np.broadcast_to(np.array(self.shares)[:, None], (len(logits), len(logits[0])))


def weighting(how: Fusion, signals: Sequence[Signals], n_target_labels: int) -> Weighting:
    """signals: what each teacher says."""
    if len(signals) == 1 or how in ("uniform", "merge"):
        return Weighting((1 / len(signals),) * len(signals))
    if how == "confidence":
        return Weighting(tuple(_mean_confidence(signals).tolist()), fixed=False)
    from scipy.special import softmax  # not at start-up: settings name the ways only

    from ctkd_cli.distillation.transfer import leep_gain

    gains = []
    for each in signals:
        _, rows, gold = each.joined.known
        probabilities = softmax(np.asarray(each.knowledge.logits[rows], np.float64), axis=1)
        gains.append(leep_gain(probabilities, gold, n_target_labels))
    return Weighting(tuple(softmax(SHARPNESS * np.array(gains)).tolist()))


def confidence(logits: Sequence[np.ndarray]) -> np.ndarray:
    """[V, S]: 1 - H(p_k) / log K_k of each teacher's logits [S, K_k], as shares of their sum. Raw
    entropies cannot be compared where teachers have different numbers of labels."""
    from scipy.special import entr, softmax

    probabilities = [softmax(np.asarray(each, np.float64), axis=1) for each in logits]
    found = np.stack([1 - entr(p).sum(axis=1) / np.log(p.shape[1]) for p in probabilities])
    found = np.maximum(found, 1e-6)  # all undecided: all alike
    return np.asarray(found / found.sum(axis=0))


def _mean_confidence(signals: Sequence[Signals]) -> np.ndarray:
    """[V]: means over all positions."""
    pieces = [each.knowledge.pieces(each.joined.at) for each in signals]
    total, n = np.zeros(len(signals)), 0
    for rows in zip(*pieces, strict=True):
        logits = [each.knowledge.logits[own] for each, own in zip(signals, rows, strict=True)]
        weights = confidence(logits)
        total, n = total + weights.sum(axis=1), n + weights.shape[1]
    return total / n
