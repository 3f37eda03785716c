"""Whether losses and a bridge can serve label spaces; asked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctkd_cli.arms.bridged_knowledge import bridge_between
from ctkd_cli.distillation.losses.base import Loss
from ctkd_cli.distillation.signals import shared_labels
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings.component import available, find

if TYPE_CHECKING:
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task


@dataclass(frozen=True)
class Conditions:
    """What a run offers to a loss."""

    n_shared: int  # labels that the source and the target have both
    labelled_per_class: int  # of the label that has the fewest
    batch_size: int
    gives: frozenset[str]  # of the teacher: logits, features, head

    def refuse(self, loss: type[Loss]) -> bool:
        return (
            not loss.needs <= self.gives
            or loss.needs_shared_labels > self.n_shared
            or loss.needs_labelled_per_class > self.labelled_per_class
            or loss.min_batch > self.batch_size
        )

    def serving(self) -> str:
        """The losses that could be used instead, for a message."""
        kinds = {name: find(Loss, name, "loss.name") for name in available(Loss)}  # type: ignore[type-abstract]
        names = [name for name, kind in kinds.items() if name != "mix" and not self.refuse(kind)]
        return f"here: {', '.join(names)}"


def require(experiment: Experiment, sources: Mapping[str, Task], target: Task) -> None:
    """Raise InputError when the run could not work, with what would. `sources` get a teacher
    each."""
    problems: list[Problem] = []
    for model in (experiment.teacher, experiment.student):
        try:
            model.require_files()
            model.size()  # its layers are there
        except InputError as error:
            problems.extend(error.problems)
    for source in sources.values():
        if experiment.teacher.fine_tuned and not problems:
            try:
                experiment.teacher.require_head(source.labels)
            except InputError as error:
                problems.extend(error.problems)
        problems.extend(_of_losses(experiment, source, target))
        problems.extend(_of_bridge(experiment, source, target))
    if problems:
        raise InputError(*dict.fromkeys(problems))


def _of_losses(experiment: Experiment, source: Task, target: Task) -> Iterator[Problem]:
    labelled = target.train.labels.counts(len(target.labels)).tolist()
    probed = experiment.teacher.ways(len(target.labelled)) == ("probe",)
    says = target.labels if probed else source.labels
    here = Conditions(
        n_shared=len(shared_labels(says, target.labels)),
        labelled_per_class=min(labelled),
        batch_size=experiment.training.batch_size,
        gives=experiment.teacher.gives,
    )
    gives = experiment.teacher.gives
    for loss, _ in experiment.loss.parts():
        if missing := sorted(loss.needs - gives):
            yield Problem(
                f"loss={loss.name} needs {' and '.join(missing)} of a teacher, and "
                f"{experiment.teacher.backbone} gives none",
                where="loss",
                got=f"a teacher that gives {', '.join(sorted(gives))}",
                allowed=here.serving(),
                remedy="one of these losses, or another teacher",
            )
        if loss.needs_shared_labels > here.n_shared:
            yield Problem(
                f"loss={loss.name} needs {loss.needs_shared_labels} labels that both tasks have",
                where="loss",
                got=f"source {list(source.labels)}, target {list(target.labels)}",
                allowed=here.serving(),
                remedy="loss=mapped_kl with bridge=fused, which learns how labels correspond; or "
                "teacher.adaptation=probe, a head with the target's labels",
            )
        if loss.needs_labelled_per_class > here.labelled_per_class:
            yield Problem(
                f"loss={loss.name} learns from labelled target examples, "
                f"{loss.needs_labelled_per_class} or more of each label",
                where="target.labels_per_class",
                got=f"{here.labelled_per_class} of a label",
                allowed=here.serving(),
                remedy="more labels, or another loss",
            )
        if loss.min_batch > here.batch_size:
            yield Problem(
                f"loss={loss.name} compares examples within a batch, and needs {loss.min_batch}",
                where="training.batch_size",
                got=str(here.batch_size),
                allowed=here.serving(),
                remedy=f"training.batch_size={loss.min_batch}, or another loss",
            )
        if loss.relational() and experiment.fusion == "confidence" and len(experiment.sources) > 1:
            yield Problem(
                f"fusion=confidence weighs single examples, and loss={loss.name} has a value for "
                "a batch only",
                where="fusion",
                got="confidence",
                allowed="uniform, leep, merge",
            )


def _of_bridge(experiment: Experiment, source: Task, target: Task) -> Iterator[Problem]:
    """Bridges that look at labels only are tried; the others at least read what they are given.
    Whatever the loss: the teacher's own answers are told through the bridge."""
    bridge = bridge_between(experiment, source.labels, target.labels)
    try:
        bridge.preview(source.labels, target.labels)
    except InputError as error:
        yield from error.problems
