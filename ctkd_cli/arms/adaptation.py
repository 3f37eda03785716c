"""Teachers that have seen the few labelled target examples before they are listened to.

Each way (TeacherSettings.adaptation) is gone once for each seed, and what it makes is kept. A probe
is fitted out of fold. What learns by gradients has an example's own label in its features: what is
made of those says nothing at labelled positions, where cross-entropy speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import transformers

from ctkd_cli.arms.bridged_knowledge import with_probe
from ctkd_cli.arms.encoded_task import EncodedTask, save
from ctkd_cli.arms.teacher import Teacher, extract_knowledge
from ctkd_cli.arms.ways import BATCH, STAGE, n_steps, title, ways_of, why_not
from ctkd_cli.arms.weights import regress_head, take_body
from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation.rows import Picked
from ctkd_cli.training.checkpoints import Checkpoints, trained

if TYPE_CHECKING:
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory, Stage
    from ctkd_cli.tasks.task import Task
    from ctkd_cli.training.settings import Training, Way

RATE = 2e-5
LONGEST = 64  # tokens of a text


def adapted(
    experiment: Experiment,
    target: Task,
    asked: Mapping[str, tuple[Teacher, Knowledge]],
    rundir: RunDirectory,
) -> list[Knowledge]:
    """What teachers say of a target's train inputs, each adapted in all the ways that the
    experiment asks for: with features or a head of its own, and all else as they said it."""
    ways, settings = ways_of(experiment, target), experiment.teacher
    left_out = set(settings.ways(len(target.labelled))) - set(ways)
    if left_out and rundir.is_first_seed and settings.adaptation != "auto":
        reason = why_not(experiment, target)
        rundir.note(f"the teacher was not adapted to the target: {reason}")
    found = []
    for teacher, said in asked.values():
        for way in ways:
            if way == "none":
                found.append(said)
            elif way == "probe":
                found.append(replace(with_probe(said, target), way=way))
            else:
                called = title(teacher.title, way, ways)
                found.append(
                    _with_new_features(experiment, target, teacher, said, way, called, rundir)
                )
    return found


def _with_new_features(
    experiment: Experiment,
    target: Task,
    teacher: Teacher,
    said: Knowledge,
    way: Way,
    called: str,
    rundir: RunDirectory,
) -> Knowledge:
    """called: what tells this training of a teacher from others."""
    budget = experiment.teacher.training.model_copy(
        update={
            "steps": n_steps(len(target.labelled)),
            "batch_size": BATCH,
            "learning_rate": RATE,
            "select": "last",
            "warmup": 0.1,
        }
    )
    key = content_key(
        STAGE, teacher.key, target.fingerprint,
        [experiment.seed, way, budget.model_dump(mode="json"), LONGEST],
    )  # fmt: skip
    with rundir.stage(STAGE, called, detail=f"{len(target.labelled)} labelled") as stage:
        arm = f"{STAGE} {called}".strip()
        make = partial(_make, experiment, target, teacher, way, budget, arm, stage)
        folder, _ = trained("teachers", key, stage, make)
    new = replace(teacher, key=key, folder=folder)
    train = target.train
    read = extract_knowledge(experiment, new, train.without_labels(), rundir)
    return replace(
        said,
        ids=read.ids,
        logits=Picked(said.logits, said.ids.positions(train.ids)),
        features=read.features,
        key=content_key(said.key, read.key),
        adapted=True,
        way=way,
    )


def _shortened(target: Task) -> Task:
    """The task with no more of a text than teachers learn from here."""
    kind = target.settings
    if "max_length" not in type(kind).model_fields:
        return target
    shorter = min(LONGEST, kind.max_length)  # type: ignore[attr-defined]
    return replace(target, settings=kind.model_copy(update={"max_length": shorter}))


def _make(
    experiment: Experiment,
    target: Task,
    teacher: Teacher,
    way: Way,
    budget: Training,
    arm: str,
    stage: Stage,
    folder: Path,
    checkpoints: Checkpoints,
) -> None:
    transformers.set_seed(experiment.seed)
    settings = experiment.teacher
    encoded = EncodedTask.of(_shortened(target), settings, experiment.device)
    loaded = encoded.load(teacher.load(experiment).model)
    if way == "fine_tune":
        model = settings.build(target.labels, target.settings)
        take_body(settings, model, loaded.model)
        loaded = encoded.load(model)
        regress_head(loaded, encoded, experiment.seed, budget.class_weights)
    encoded.fit(
        loaded, budget, experiment.seed, arm, stage, checkpoints, pairs=way == "contrastive"
    )
    save(loaded, folder / "model")
