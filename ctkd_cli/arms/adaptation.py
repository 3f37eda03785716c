"""Teachers that have seen the few labelled target examples before they are listened to.

A teacher's features are adapted to the target by contrastive pairs (training/contrastive.py), once
for each seed, and kept. An example that it was adapted to has its own label in its features: what
is made of them says nothing at labelled positions, where cross-entropy speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import transformers

from ctkd_cli.arms.encoded_task import EncodedTask, save
from ctkd_cli.arms.teacher import Teacher, extract_knowledge
from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation.rows import Picked
from ctkd_cli.training.checkpoints import Checkpoints, trained

if TYPE_CHECKING:
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory, Stage
    from ctkd_cli.tasks.task import Task

STAGE = "adaptation"
PASSES = 10  # over the labelled examples
FEWEST, MOST = 50, 200  # steps
RATE = 2e-5


def why_not(experiment: Experiment, target: Task) -> str:
    """Why teachers cannot be adapted to a target; "" where they can."""
    if not any("features" in loss.needs for loss, _ in experiment.loss.parts()):
        return "no loss reads features"
    if target.train.labels.offsets is not None:
        return "examples have several labels each"
    if len(target.labelled) == len(target.train):
        return "every input has a label, so an adapted teacher had nothing to say"
    return ""


def adapted(
    experiment: Experiment,
    target: Task,
    asked: Mapping[str, tuple[Teacher, Knowledge]],
    rundir: RunDirectory,
) -> list[Knowledge]:
    """What teachers say of a target's train inputs: with features of teachers that were adapted to
    it, where the experiment asks for that, and all else as they said it."""
    asked_for = experiment.teacher.adaptation != "none"
    reason = why_not(experiment, target) if asked_for else ""
    if reason and rundir.is_first_seed:
        rundir.note(f"the teacher was not adapted to the target: {reason}")
    if reason or not asked_for:
        return [knowledge for _, knowledge in asked.values()]
    return [_with_new_features(experiment, target, *each, rundir) for each in asked.values()]


def _with_new_features(
    experiment: Experiment, target: Task, teacher: Teacher, said: Knowledge, rundir: RunDirectory
) -> Knowledge:
    key = content_key(
        STAGE, teacher.key, target.fingerprint, [experiment.seed, PASSES, FEWEST, MOST, RATE]
    )
    with rundir.stage(STAGE, teacher.title, detail=f"{len(target.labelled)} labelled") as stage:
        make = partial(_make, experiment, target, teacher, stage)
        folder, _ = trained("teachers", key, stage, make)
    new = replace(teacher, key=key, folder=folder)
    train = target.train
    read = extract_knowledge(experiment, new, train.without_labels(), rundir)
    return replace(
        read,
        logits=Picked(said.logits, said.ids.positions(train.ids)),
        head=said.head,
        key=content_key(said.key, read.key),
        adapted=True,
    )


def _make(
    experiment: Experiment,
    target: Task,
    teacher: Teacher,
    stage: Stage,
    folder: Path,
    checkpoints: Checkpoints,
) -> None:
    transformers.set_seed(experiment.seed)
    encoded = EncodedTask.of(target, experiment.teacher, experiment.device)
    loaded = encoded.load(teacher.load(experiment).model)
    training = experiment.teacher.training
    steps = int(np.clip(PASSES * len(target.labelled) // training.batch_size, FEWEST, MOST))
    budget = training.model_copy(
        update={"steps": steps, "learning_rate": RATE, "select": "last", "warmup": 0.1}
    )
    encoded.fit(
        loaded, budget, experiment.seed, f"{STAGE} {teacher.title}".strip(), stage, checkpoints,
        pairs=True,
    )  # fmt: skip
    save(loaded, folder / "model")
