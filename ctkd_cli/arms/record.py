"""What the reports need to know of a run beside its predictions: events and files, written as the
run goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ctkd_cli.distillation.bridges.base import stacked
from ctkd_cli.distillation.terms import hint_of
from ctkd_cli.evaluation import metrics
from ctkd_cli.evaluation.calibration import validated_temperature
from ctkd_cli.runs import environment
from ctkd_cli.runs.atomic import write_atomically
from ctkd_cli.runs.rundir import RunDirectory
from ctkd_cli.settings import compose
from ctkd_cli.settings.config_files import user_config_dir
from ctkd_cli.tasks.positions import UNLABELLED

if TYPE_CHECKING:
    import numpy as np

    from ctkd_cli.arms.bridged_knowledge import BridgedKnowledge
    from ctkd_cli.arms.efficiency import Efficiency
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task


def provenance(rundir: RunDirectory, experiment: Experiment, overrides: Sequence[str]) -> None:
    """What was asked for, and what it ran on."""
    rundir.write_yaml("config.yaml", experiment.model_dump(mode="json", by_alias=True))
    rundir.write_yaml("overrides.yaml", list(overrides))
    models = {"teacher": experiment.teacher, "student": experiment.student}
    weights = {role: backbone.fingerprint() for role, backbone in models.items()}
    facts = {**environment.describe(), "config_dir": user_config_dir(), "backbones": weights,
             "chosen": compose.chosen()}  # fmt: skip
    rundir.write_json("environment.json", facts)
    sizes = {role: {"parameters": model.size().parameters} for role, model in models.items()}
    rundir.event("data", "models", **sizes)


def facts(
    rundir: RunDirectory, role: str, task: Task, truncated: dict[str, int], **more: str
) -> None:
    """What the reports say of a task; `truncated` as its reader counted it."""
    called = more.get("name", role)
    metric = task.settings.metric(task.labels).describe()
    if role == "target":
        rundir.metric = metric
    for note in task.notes:
        rundir.note(f"{called}: {note}")
    for split, n in truncated.items():
        if n:
            rundir.note(f"{called}: {n} of {split} lost content to the length limit")
    rundir.event(
        "data",
        "facts",
        role=role,
        kind=task.settings.kind,
        reader=task.readers,
        title=task.settings.title(),
        licence=task.licences,
        labels=list(task.labels),
        counts=task.counts(),
        examples={name: int(s.labels.labelled.sum()) for name, s in task.splits().items()},
        unlabelled=len(task.train) - len(task.labelled),
        metric=metric,
        truncated=truncated,
        notes=list(task.notes),
        fingerprint=task.fingerprint,
        **more,
    )


def bridge(rundir: RunDirectory, bridged: BridgedKnowledge) -> None:
    """How labels were bridged; label_map.csv is the first seed's, whose student is kept."""
    label_map = stacked(bridged.label_maps)
    rundir.event(
        "bridge",
        "done",
        coverage=label_map.coverage,
        entropy=label_map.entropy.tolist(),
        hash=label_map.hash(),
        shares=bridged.shares,
        weights=bridged.weights,
    )
    if (file := rundir.path / "label_map.csv").exists():
        return
    write_atomically(file, label_map.to_csv())
    if unmapped := label_map.unmapped:
        rundir.note(f"source labels that lead nowhere: {', '.join(unmapped)}")
    if unreached := label_map.unreached:
        rundir.note(f"target labels that no source label leads to: {', '.join(unreached)}")


def hints(rundir: RunDirectory, target: Task, teachers: Sequence[Knowledge]) -> None:
    """Whether the teachers' words fit the target's labels, before any student has heard them."""
    for knowledge in teachers:
        found = hint_of(knowledge, target)
        if rundir.is_first_seed:
            called = f" of {knowledge.teacher}" if len(teachers) > 1 else ""
            rundir.tell(f"transfer hint{called}: {found.sentence}")
        rundir.event("transfer", "hint", name=knowledge.teacher, **asdict(found))


def on_validation(rundir: RunDirectory, arm: str, task: Task, logits: np.ndarray | None) -> None:
    """An arm's scores on its task's validation split and the temperature that it justifies;
    logits: [S, K]. Without validation there is nothing to tell."""
    labels = task.validation.labels
    if logits is None or not len(labels):
        return
    scores = metrics.on_validation(task.settings, task.labels, labels, logits)
    rundir.event("evaluation", "validation", arm=arm, **scores)
    if rundir.has_folds:
        return  # the answers of several students stand side by side, and none speaks for all
    examples, _, gold = labels.known()
    temperature = validated_temperature(logits[labels.values != UNLABELLED], gold, examples)
    if temperature is not None:
        rundir.event("evaluation", "temperature", arm=arm, value=temperature)


def efficiency(rundir: RunDirectory, measured: Mapping[str, Efficiency]) -> None:
    """What it costs to use the models."""
    figures = {name: asdict(found) for name, found in measured.items()}
    rundir.event("evaluation", "efficiency", **figures)
