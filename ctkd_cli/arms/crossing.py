"""What came over the bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation import fusion
from ctkd_cli.distillation.signals import join
from ctkd_cli.distillation.terms import Term, Voice

if TYPE_CHECKING:
    from ctkd_cli.data._ids import Ids
    from ctkd_cli.distillation.bridges.base import LabelMap
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task


@dataclass(frozen=True)
class Crossing:
    """What came over the bridge. shares: each voice's mean weight. key: of what decided it."""

    key: str
    terms: tuple[Term, ...]
    label_maps: dict[str, LabelMap]
    shares: dict[str, float]

    @property
    def as_heard(self) -> dict[str, Any]:
        """What an arm needs in order to hear it."""
        return {"terms": self.terms, "hears": self.key}

    def opinion(self, said: Mapping[str, Knowledge], ids: Ids) -> np.ndarray:
        """Log-probabilities [N, K_T] that the teachers give examples in the target's labels,
        each with its share; said: of these examples, by voice."""
        mixed: np.ndarray | float = 0.0
        for name, knowledge in said.items():
            logits, _ = knowledge.of(ids)
            probabilities = softmax(logits[:], axis=1)
            q, _ = self.label_maps[name].apply(probabilities)
            mixed = mixed + self.shares[name] * q
        return np.log(np.maximum(mixed, 1e-12))


def cross(experiment: Experiment, target: Task, voices: Sequence[Voice]) -> Crossing:
    """Carry what the teachers said over to the target labels, one row per train example.

    Raises InputError when the labels cannot be bridged.
    """
    gold, ids = target.train.labels, target.train.ids
    joined = [
        join(voice.knowledge, ids, gold, experiment.bridge, voice.labels, target.labels)
        for voice in voices
    ]
    weights = fusion.weights(
        experiment.fusion, [signals.logits for signals, _ in joined], gold, len(target.labels)
    )
    parts = experiment.loss.parts()
    terms = []
    for voice, (signals, _), weight in zip(voices, joined, weights, strict=True):
        for loss, share in parts:
            names = [*([voice.name] if len(voices) > 1 else []), loss.name]
            if len(parts) == 1 and len(voices) > 1:
                names = [voice.name]
            heard = signals.for_loss(loss, gold, len(target.labels))
            terms.append(Term("/".join(names), loss, heard, share * weight))
    settings = [part.model_dump(mode="json") for part in (experiment.loss, experiment.bridge)]
    spoke = [[voice.name, list(voice.labels), voice.key] for voice in voices]
    return Crossing(
        key=content_key("crossing", spoke, settings, experiment.fusion, target.fingerprint),
        terms=tuple(terms),
        label_maps={voice.name: found for voice, (_, found) in zip(voices, joined, strict=True)},
        shares={
            voice.name: float(weight.mean()) for voice, weight in zip(voices, weights, strict=True)
        },
    )
