"""What the reports need to know of a run beside its predictions: events and files, written as the
run goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ctkd_cli.arms.crossing import Crossing
from ctkd_cli.distillation.bridges.base import stacked
from ctkd_cli.distillation.terms import Voice, hint_of
from ctkd_cli.evaluation.calibration import fit_temperature
from ctkd_cli.evaluation.metrics import macro_f1
from ctkd_cli.runs import environment
from ctkd_cli.runs.rundir import RunDirectory, write_atomically
from ctkd_cli.settings.config_files import user_config_dir

if TYPE_CHECKING:
    import numpy as np

    from ctkd_cli.evaluation.efficiency import Efficiency
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task


def provenance(rundir: RunDirectory, experiment: Experiment, overrides: Sequence[str]) -> None:
    """What was asked for, and what it ran on."""
    rundir.write_yaml("config.yaml", experiment.model_dump(mode="json", by_alias=True))
    rundir.write_yaml("overrides.yaml", list(overrides))
    models = {"teacher": experiment.teacher, "student": experiment.student}
    weights = {role: backbone.fingerprint() for role, backbone in models.items()}
    facts = {**environment.describe(), "config_dir": user_config_dir(), "backbones": weights}
    rundir.write_json("environment.json", facts)
    sizes = {role: {"parameters": model.size().parameters} for role, model in models.items()}
    rundir.event("data", "models", **sizes)


def facts(
    rundir: RunDirectory, role: str, task: Task, truncated: dict[str, int], **more: str
) -> None:
    """What the reports say of a task; `truncated` as its reader counted it."""
    called = more.get("name", role)
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
        licence=task.licences,
        labels=list(task.labels),
        counts=task.counts(),
        unlabelled=len(task.train) - len(task.labelled),
        truncated=truncated,
        notes=list(task.notes),
        fingerprint=task.fingerprint,
        **more,
    )


def crossing(rundir: RunDirectory, found: Crossing) -> None:
    """How labels were bridged; label_map.csv is the first seed's, whose student is kept."""
    label_map = stacked(found.label_maps)
    rundir.event(
        "bridge",
        "done",
        coverage=label_map.coverage,
        entropy=label_map.entropy.tolist(),
        hash=label_map.hash(),
        shares=found.shares,
        weights={term.name: float(term.weight.mean()) for term in found.terms},
    )
    if (file := rundir.path / "label_map.csv").exists():
        return
    write_atomically(file, label_map.to_csv())
    if unmapped := label_map.unmapped:
        rundir.note(f"source labels that lead nowhere: {', '.join(unmapped)}")
    if unreached := label_map.unreached:
        rundir.note(f"target labels that no source label leads to: {', '.join(unreached)}")


def hints(rundir: RunDirectory, target: Task, voices: Sequence[Voice]) -> None:
    """Whether the teachers' words fit the target's labels, before any student has heard them."""
    for voice in voices:
        found = hint_of(voice, target)
        rundir.event("transfer", "hint", name=voice.name, **asdict(found))


def on_validation(
    rundir: RunDirectory, arm: str, logits: np.ndarray | None, gold: np.ndarray
) -> None:
    """An arm's scores on validation and the temperature fitted there; logits: [N, K], gold: [N].
    Without validation there is nothing to tell."""
    if logits is None or not len(gold):
        return
    predicted = logits.argmax(axis=1)
    rundir.event(
        "evaluation",
        "validation",
        arm=arm,
        macro_f1=macro_f1(gold, predicted, logits.shape[1]),
        accuracy=float((predicted == gold).mean()),
    )
    rundir.event("evaluation", "temperature", arm=arm, value=fit_temperature(logits, gold))


def efficiency(rundir: RunDirectory, measured: Mapping[str, Efficiency]) -> None:
    """What it costs to use the models."""
    figures = {name: asdict(found) for name, found in measured.items()}
    rundir.event("evaluation", "efficiency", **figures)
