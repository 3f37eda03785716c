"""Teachers that have spoken, made by hand, for tests of what hears them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkd_cli.data._ids import Ids
from ctkd_cli.distillation.bridges.base import Bridge
from ctkd_cli.distillation.bridges.identity import Identity
from ctkd_cli.distillation.fusion import Weighting
from ctkd_cli.distillation.knowledge import Head, Knowledge
from ctkd_cli.distillation.losses.base import Loss
from ctkd_cli.distillation.signals import Joined, Signals, through_bridge
from ctkd_cli.distillation.terms import Term, Terms
from ctkd_cli.tasks.metric import class_counts
from ctkd_cli.tasks.positions import Labels

LABELS = ("a", "b", "c")


def knowledge(
    n: int, width: int = 5, seed: int = 0, logits: Any = None, labels: tuple[str, ...] = LABELS
) -> Knowledge:
    """What a teacher says of n inputs with one position each, drawn at random."""
    generator = np.random.default_rng(seed)
    k = len(labels)
    drawn = generator.normal(size=(n, k)).astype(np.float32)
    return Knowledge(
        ids=Ids.counted("example", n),
        logits=drawn if logits is None else logits,
        features=generator.normal(size=(n, width)).astype(np.float32),
        head=Head(generator.normal(size=(k, width)).astype(np.float32), np.zeros(k, np.float32)),
        labels=labels,
    )


def bridged(heard: Knowledge, bridge: Bridge | None = None, gold: Any = None) -> Signals:
    """Its words for all its inputs, in their order."""
    labels = Labels(np.full(len(heard.ids), -1) if gold is None else np.asarray(gold))
    return through_bridge(heard, heard.ids, labels, bridge or Identity(), LABELS)


def terms_of(heard: Knowledge, *losses: tuple[Loss, float], weighting: Any = None) -> Terms:
    """Losses on one teacher, each with its share."""
    terms = tuple(Term(loss.name or type(loss).__name__, loss, 0, w) for loss, w in losses)
    return Terms((bridged(heard),), weighting or Weighting((1.0,)), terms)


def counts(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
    """[S, N, C]: what macro-F1 counts of predictions [S, N] of examples with one label each."""
    return np.stack([class_counts(gold, row, n_labels) for row in predicted])


def targets_of(
    loss: Loss, features: np.ndarray, gold: np.ndarray, n_labels: int
) -> np.ndarray | None:
    """The soft targets [N, K] that a loss makes of features [N, d] with one position each."""
    n = len(features)
    said = Knowledge(Ids.counted("example", n), np.zeros((n, n_labels), np.float32), features)
    joined = Joined.of(said, said.ids, Labels(gold))
    fits = loss.soft_targets(joined, n_labels)
    if not fits:
        return None
    judges = joined.judged_by(*fits)
    return judges(features.astype(np.float64), np.arange(n))
