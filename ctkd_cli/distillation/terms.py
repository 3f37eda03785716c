"""The terms of the distillation part: what each loss hears of each teacher, with its weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation import transfer
from ctkd_cli.distillation.knowledge import Knowledge
from ctkd_cli.distillation.probe import linear_probe

if TYPE_CHECKING:
    from ctkd_cli.distillation.losses.base import Loss
    from ctkd_cli.distillation.signals import Signals
    from ctkd_cli.distillation.transfer import Hint
    from ctkd_cli.tasks.task import Task


@dataclass(frozen=True)
class Voice:
    """A teacher that has spoken of the target inputs; name: its source's, labels: its own, key: of
    what decided its words."""

    name: str
    labels: tuple[str, ...]
    knowledge: Knowledge
    key: str

    def probed(self, target: Task) -> Voice:
        """The same teacher with another head: a linear probe that says the target's own labels."""
        ids = target.train.ids
        _, features = self.knowledge.of(ids)
        probe = linear_probe(features, target.train.labels)
        logits = np.log(np.maximum(probe.probabilities, 1e-12)).astype(np.float32)
        head = (probe.weight.astype(np.float32), probe.bias.astype(np.float32))
        key = content_key("probed", self.key, target.fingerprint)
        return Voice(self.name, target.labels, Knowledge(ids, logits, features, *head), key)


def hint_of(voice: Voice, target: Task) -> Hint:
    """What a teacher's words about the labelled train examples promise."""
    labelled = target.labelled
    logits, features = voice.knowledge.of(target.train.ids.select(labelled))
    return transfer.hint(
        logits[:],
        features[:],
        target.train.labels[labelled],
        len(target.labels),
    )


@dataclass(frozen=True)
class Term:
    """One loss on one teacher. weight: [N], of each example; name: as the ledger has it."""

    name: str
    loss: Loss
    signals: Signals
    weight: np.ndarray
