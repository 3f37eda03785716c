"""What teachers know of the target inputs, in the target's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation.bridges._by_type import ByType, by_type
from ctkd_cli.distillation.bridges.identity import Identity
from ctkd_cli.distillation.fusion import weighting
from ctkd_cli.distillation.knowledge import Head, Knowledge
from ctkd_cli.distillation.probe import LinearProbe, linear_probe
from ctkd_cli.distillation.rows import Judged
from ctkd_cli.distillation.signals import Joined, Signals, through_bridge
from ctkd_cli.distillation.terms import Term, Terms

if TYPE_CHECKING:
    from ctkd_cli.distillation.bridges.base import Bridge, LabelMap
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task


@dataclass(frozen=True)
class BridgedKnowledge:
    """key: of what decided it. label_maps: of each head of a teacher; shares: of each teacher, its
    mean weight; both by its source's name."""

    key: str
    terms: Terms
    label_maps: dict[str, LabelMap]
    shares: dict[str, float]

    @property
    def weights(self) -> dict[str, float]:
        """The mean weight of each term."""
        of_teachers = self.terms.weighting.shares
        return {term.name: term.share * of_teachers[term.teacher] for term in self.terms}

    def opinion(self, said: Mapping[str, Knowledge], split: Split) -> np.ndarray:
        """Log-probabilities [S, K_T] that the teachers give the positions of a split in the
        target's labels, each with its share; said: of these inputs, by teacher."""
        mixed: np.ndarray | float = 0.0
        for each, share in zip(self.terms.signals, self.terms.weighting.shares, strict=True):
            knowledge = said[each.knowledge.teacher]
            rows, there = positions_of(knowledge, split)
            q, _ = each.label_map.apply(each.knowledge.probabilities(knowledge, rows))
            mixed = mixed + share * np.where(there[:, None], q, 1 / q.shape[1])
        return np.log(np.maximum(mixed, 1e-12))


def positions_of(knowledge: Knowledge, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Where a store has all positions of a split, [S], and whether it has them, [S] bool."""
    at = knowledge.ids.positions(split.ids)
    offsets = split.labels.offsets
    if offsets is None:
        return at, np.ones(len(at), dtype=bool)
    counts = np.diff(offsets)
    numbers = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    rows = knowledge.rows(np.repeat(at, counts), numbers)
    return np.maximum(rows, 0), rows >= 0


def apply_bridge(
    experiment: Experiment, target: Task, teachers: Sequence[Knowledge]
) -> BridgedKnowledge:
    """Carry what the teachers said over to the target labels.

    Raises InputError when the labels cannot be bridged.
    """
    train = target.train
    signals = tuple(
        through_bridge(
            each,
            train.ids,
            train.labels,
            bridge_between(experiment, each.labels, target.labels)
            if each.way != "probe"
            else Identity(),  # its head says the target's labels
            target.labels,
        )
        for each in teachers
    )
    found = weighting(experiment.fusion, signals, len(target.labels))
    settings = [part.model_dump(mode="json") for part in (experiment.loss, experiment.bridge)]
    spoke = [[each.teacher, each.way, list(each.labels), each.key] for each in teachers]
    shares: dict[str, float] = {}
    for knowledge, share in zip(teachers, found.shares, strict=True):
        shares[knowledge.teacher] = shares.get(knowledge.teacher, 0.0) + share
    return BridgedKnowledge(
        key=content_key("bridged", spoke, settings, experiment.fusion, target.fingerprint),
        terms=Terms(signals, found, tuple(_terms(experiment, signals))),
        label_maps={_head_of(each.knowledge): each.label_map for each in signals},
        shares=shares,
    )


def _head_of(knowledge: Knowledge) -> str:
    """The name of a teacher, with the head that it has."""
    return f"{knowledge.teacher} probe" if knowledge.way == "probe" else knowledge.teacher


def bridge_between(
    experiment: Experiment, source_labels: Sequence[str], target_labels: Sequence[str]
) -> Bridge | ByType:
    """The experiment's bridge, as the kind of task would have it."""
    parts = experiment.target.parts
    return by_type(experiment.bridge, parts(source_labels), parts(target_labels))


def _terms(experiment: Experiment, signals: Sequence[Signals]) -> list[Term]:
    """Every loss on every teacher, named by what tells them apart."""
    parts, weights = experiment.loss.parts(), experiment.training.class_weights
    found = []
    for place, each in enumerate(signals):
        teacher = [_name(each.knowledge, signals)] if len(signals) > 1 else []
        for loss, share in parts:
            own = [loss.name] if len(parts) > 1 or not teacher else []
            name = "/".join([*teacher, *own])
            found.append(Term(name, loss, place, share, each.targets(loss, weights)))
    return found


def _name(knowledge: Knowledge, among: Sequence[Signals]) -> str:
    """A teacher's name, and its way where it stands beside itself."""
    if [each.knowledge.teacher for each in among].count(knowledge.teacher) < 2:
        return knowledge.teacher
    if len({each.knowledge.teacher for each in among}) == 1:
        return f"teacher {knowledge.way}".strip()
    return f"{knowledge.teacher} {knowledge.way}".strip()


def with_probe(knowledge: Knowledge, target: Task) -> Knowledge:
    """The same teacher with another head: a linear probe that says the target's own labels."""
    train = target.train
    joined = Joined.of(knowledge, train.ids, train.labels)
    judges = joined.judged_by(linear_probe(joined, len(target.labels)))
    whole = judges.judges[0]
    assert isinstance(whole, LinearProbe)
    weight, bias = whole.as_head()
    return replace(
        knowledge,
        logits=Judged(
            knowledge.features, judges.at(joined.at, len(knowledge.ids)), knowledge.offsets
        ),
        head=Head(weight.astype(np.float32), bias.astype(np.float32)),
        labels=target.labels,
        key=content_key("probed", knowledge.key, target.fingerprint),
    )
