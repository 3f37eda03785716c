"""Arms: the ways in which one student is trained on one target task, so that they can be compared.

All arms share the data, the labelled subset, the initial weights, the order and the budget. They
differ in what an `Arm` says, and in nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import transformers

from ctkd_cli.arms.encoded_task import EncodedTask, logits_of, save
from ctkd_cli.arms.weights import regress_head, take_body
from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation.terms import Distillation
from ctkd_cli.runs import environment
from ctkd_cli.runtime import devices
from ctkd_cli.training.checkpoints import Checkpoints, trained

if TYPE_CHECKING:
    from ctkd_cli.distillation.terms import Terms
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import Event, RunDirectory, Stage
    from ctkd_cli.tasks.task import Task

EVENTS = "events.json"  # what was told of an arm, in its entry of the cache


@dataclass(frozen=True)
class Arm:
    """stage: student or control. terms: what the student is taught beside its labels, if anything;
    taught: the key of what decided them. start: a folder with weights to begin with, its head
    apart. label_smoothing: in place of the training's own."""

    name: str
    stage: str = "student"
    terms: Terms | None = None
    taught: str = ""
    start: Path | None = None
    label_smoothing: float | None = None


@dataclass(frozen=True)
class ArmOutputs:
    """What an arm said of the target's test split, [S, K], and of its validation split where there
    is one. folder: with the trained student, where it was kept."""

    name: str
    logits: np.ndarray
    validation: np.ndarray | None = None
    folder: Path | None = None


def train_arm(
    experiment: Experiment,
    target: EncodedTask,
    rundir: RunDirectory,
    arm: Arm,
    keep_model: bool = False,
) -> ArmOutputs:
    """Train a new student the way the arm says, or find what the very same training gave before."""
    key = arm_key(experiment, target.task, arm, keep_model)
    with rundir.stage(arm.stage, arm.name) as stage:
        make = partial(_make, experiment, target, arm, stage, keep_model)
        outputs = kept(arm.name, key, stage, make, again=not experiment.reuse)
    return outputs if keep_model else replace(outputs, folder=None)


def kept(
    name: str, key: str, stage: Stage, make: Callable[[Path, Checkpoints], None], again: bool
) -> ArmOutputs:
    """What an arm says, made now or, with all that was told of it, from the cache. make: fills a
    folder with its answers (EncodedTask.write_logits), what was told (`write_events`), its model
    where there is one."""
    folder, reused = trained("arms", key, stage, make, again=again)
    if reused:
        for event in json.loads((folder / EVENTS).read_text(encoding="utf-8")):
            stage.event(**event)
    logits = logits_of(folder, "test")
    assert logits is not None, "a task has a test split"
    return ArmOutputs(name, logits, logits_of(folder, "validation"), folder / "model")


def write_events(folder: Path, events: Sequence[Event]) -> None:
    """Keep what was told of an arm, for `kept`."""
    (folder / EVENTS).write_text(json.dumps(events), encoding="utf-8")


def _make(
    experiment: Experiment,
    target: EncodedTask,
    arm: Arm,
    stage: Stage,
    keep_model: bool,
    folder: Path,
    checkpoints: Checkpoints,
) -> None:
    """A trained arm as the cache keeps it: answers, what its training told, its student."""
    student, seed = experiment.student, experiment.seed
    transformers.set_seed(seed)
    model = student.build(target.task.labels, target.task.settings)
    if arm.start is not None:
        take_body(student, model, student.load_trained(arm.start))
    distillation = None
    if arm.terms is not None and experiment.lambda_ > 0:
        distillation = Distillation(
            arm.terms, experiment.lambda_, experiment.schedule, experiment.on_conflict
        )
    training = experiment.training
    if student.rate != 1:
        rate = training.learning_rate * student.rate
        training = training.model_copy(update={"learning_rate": rate})
    if arm.label_smoothing is not None:
        training = training.model_copy(update={"label_smoothing": arm.label_smoothing})
    loaded = target.load(model)
    if student.head_start == "regression":
        regress_head(loaded, target, seed, training.class_weights)
    events = target.fit(loaded, training, seed, arm.name, stage, checkpoints, distillation)
    if student.head_end == "regression":
        regress_head(loaded, target, seed, training.class_weights)
    write_events(folder, [{**event, "arm": arm.name} for event in events])
    target.write_logits(loaded, folder)
    if keep_model:
        save(loaded, folder / "model")


def arm_key(experiment: Experiment, target: Task, arm: Arm, keep_model: bool) -> str:
    """What decides a trained student and its answers, the code that computes among it."""
    student, training = experiment.student, experiment.training
    taught = arm.taught if arm.terms is not None and experiment.lambda_ > 0 else None
    schedule = experiment.schedule.model_dump(mode="json")
    parts = [experiment.schedule, experiment.bridge, *(loss for loss, _ in experiment.loss.parts())]
    return content_key(
        "arm",
        environment.code_hash(student, target.settings, *parts),
        student.fingerprint(),
        target.fingerprint,
        [training.model_dump(mode="json"), experiment.seed, devices.precision(experiment.device)],
        taught and [taught, experiment.lambda_, schedule, experiment.on_conflict],
        [student.head_start, student.head_end],
        [arm.label_smoothing, arm.start and arm.start.parent.name, keep_model],
    )
