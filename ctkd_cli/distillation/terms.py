"""The distillation part of the objective: lambda(t) * sum of terms, at every position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctkd_cli.distillation import transfer
from ctkd_cli.distillation.signals import Joined, shared_labels
from ctkd_cli.runtime.lazy import torch
from ctkd_cli.tasks.positions import UNLABELLED

if TYPE_CHECKING:
    from torch import Tensor

    from ctkd_cli.distillation.folds import CrossFitted
    from ctkd_cli.distillation.fusion import Weighting
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.distillation.losses.base import Loss
    from ctkd_cli.distillation.schedules.base import Schedule
    from ctkd_cli.distillation.signals import Signals
    from ctkd_cli.distillation.transfer import Hint
    from ctkd_cli.tasks.task import Task

OnConflict = Literal["keep", "drop", "project"]


@dataclass(frozen=True)
class Term:
    """One loss on one teacher. name: as the ledger has it. teacher: its place among the teachers.
    share: of the loss in a mix. targets: what the loss makes of this teacher's features."""

    name: str
    loss: Loss
    teacher: int
    share: float = 1.0
    targets: CrossFitted | None = None


@dataclass(frozen=True)
class Terms:
    """Every loss on every teacher. signals: of each teacher; weighting: what each has of lambda."""

    signals: tuple[Signals, ...]
    weighting: Weighting
    terms: tuple[Term, ...]

    def __iter__(self) -> Any:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    @cached_property
    def _mostly_labelled(self) -> bool:
        """Whether most examples have a label. Then soft targets that a label contradicts are not
        heard (Meng et al. 2019, conditional teacher-student learning, arXiv 1904.12399). With few
        labels they keep the student from learning these by heart."""
        known = self.signals[0].joined.labels.labelled
        return bool(2 * known.sum() > len(known))

    def at(self, examples: np.ndarray, numbers: np.ndarray) -> list[dict[str, Tensor]]:
        """What each term hears at S positions of a batch, `weight` [S] beside the fields of
        TeacherOutputs that differ from position to position."""
        heard = [each.heard(examples, numbers) for each in self.signals]
        weights = self.weighting.at([each.logits for each in heard])
        found = []
        for term in self.terms:
            said, signals = heard[term.teacher], self.signals[term.teacher]
            features = said.features
            if features is None:
                features = np.empty((len(examples), 0), np.float32)
            targets = np.full(said.mapped.shape, 1 / said.mapped.shape[1], np.float32)
            if term.targets is not None:
                targets = term.targets(features.astype(np.float64), said.examples)
            there = said.there
            if signals.knowledge.adapted and "features" in term.loss.needs:
                there = there & (said.gold == UNLABELLED)
            if term.targets is not None:
                there = there & ~term.targets.silent(said.examples, said.gold)
                if self._mostly_labelled:
                    wrong = targets.argmax(axis=1) != said.gold
                    there = there & ~(wrong & (said.gold != UNLABELLED))
            arrays = {
                "logits": said.logits,
                "features": features,
                "mapped": said.mapped,
                "mass": said.mass,
                "targets": targets,
                "weight": np.where(there, term.share * weights[term.teacher], 0.0),
            }
            found.append(
                {
                    k: torch.from_numpy(np.ascontiguousarray(v, np.float32))
                    for k, v in arrays.items()
                }
            )
        return found

    def constants(self, term: Term) -> dict[str, np.ndarray]:
        """The fields of TeacherOutputs that are the same at every position."""
        signals = self.signals[term.teacher]
        knowledge, label_map = signals.knowledge, signals.label_map
        head = knowledge.head
        return {
            "head_weight": np.empty((len(knowledge.labels), 0), np.float32) if head is None
            else np.asarray(head.weight, np.float32),
            "head_bias": np.zeros(len(knowledge.labels), np.float32) if head is None
            else np.asarray(head.bias, np.float32),
            "label_map": label_map.weights.astype(np.float32),
            "shared": shared_labels(label_map.source_labels, label_map.target_labels),
        }  # fmt: skip

    def shuffled(self, order: np.ndarray) -> Terms:
        """The same things said, each of another example; order: [N]."""
        return replace(self, signals=tuple(replace(each, order=order) for each in self.signals))


@dataclass(frozen=True)
class Distillation:
    """lambda(t) * sum of terms."""

    terms: Terms
    lambda_: float
    schedule: Schedule
    on_conflict: OnConflict = "keep"


def hint_of(knowledge: Knowledge, target: Task) -> Hint:
    """What a teacher's words at the labelled train positions promise."""
    _, rows, gold = Joined.of(knowledge, target.train.ids, target.train.labels).known
    features = None if knowledge.features is None else knowledge.features[rows]
    return transfer.hint(knowledge.logits[rows], features, gold, len(target.labels))
