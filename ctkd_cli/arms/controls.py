"""Controls: arms that ask where a gain comes from. Same data, seeds, order and steps as the rest.

Generic and random teachers have a head that has learnt nothing; so that losses on logits hear what
their features know, they get one: a linear probe fitted on the labelled target examples.

| control | asks |
|---|---|
| stilts | would fine-tuning the student on the source first do as well? (Phang et al. 2018) |
| stilts_distilled | (its other half, no control) does distillation add to that? |
| generic_teacher | does the teacher's training on the source matter, or only its pretraining? |
| random_teacher | does it matter that the teacher knows anything? |
| shuffled_teacher | does it matter that the teacher speaks of this very input? |
| label_smoothing | is it only that targets are soft? (Mueller, Kornblith, Hinton 2019) |
| probe | is a student needed? A linear probe on the teacher's own features of the test inputs |
| features | is any of it? The same on the backbone's features, without training on the source |

The last two train no student: their model at test time is as large as the teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import transformers

from ctkd_cli.arms.crossing import Crossing, cross
from ctkd_cli.arms.keys import stilts_key
from ctkd_cli.arms.sources import hear, merge
from ctkd_cli.arms.student import Answered, Arm
from ctkd_cli.arms.teacher import listen
from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation.probe import linear_probe
from ctkd_cli.distillation.terms import Term
from ctkd_cli.evaluation.arm_names import STILTS_DISTILLED
from ctkd_cli.runtime import devices
from ctkd_cli.training.checkpoints import Checkpoints, trained
from ctkd_cli.training.trainer import Lesson, encode_validation, fit

if TYPE_CHECKING:
    from ctkd_cli.arms.keys import Variant
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory, Stage
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task

SMOOTHING = 0.1
SOURCE_ARM = "stilts on source"  # the first half of stilts, in events and on the display
TEACHERS: dict[str, Variant] = {"generic_teacher": "generic", "random_teacher": "random"}
PROBED: dict[str, Variant] = {"probe": "trained", "features": "generic"}


def of(
    experiment: Experiment,
    sources: Mapping[str, Task],
    target: Task,
    pool: Callable[[], Split],
    crossing: Crossing,
    rundir: RunDirectory,
) -> Iterator[Arm | Answered]:
    """The control arms that an experiment asks for, each made ready when its turn comes. `sources`
    have a teacher each, which said what came over in `crossing` of the inputs that `pool` makes."""
    for name in experiment.controls.arms:
        arm = Arm(name, "control")
        if name in ("stilts", STILTS_DISTILLED):
            source = merge(sources) if len(sources) > 1 else next(iter(sources.values()))
            start = _taught_the_source(experiment, source, rundir)
            hears = crossing.as_heard if name == STILTS_DISTILLED else {}
            yield replace(arm, start=start, **hears)
        elif name == "shuffled_teacher":
            key = content_key("shuffled", crossing.key, experiment.seed)
            yield replace(arm, terms=shuffle(crossing.terms, experiment.seed), hears=key)
        elif name == "label_smoothing":
            yield replace(arm, label_smoothing=SMOOTHING)
        elif name in PROBED:
            yield _probe(experiment, sources, target, pool, rundir, name)
        else:
            heard = hear(experiment, sources, pool(), rundir, TEACHERS[name])
            voices = [voice.probed(target) for _, voice in heard.values()]
            yield replace(arm, **cross(experiment, target, voices).as_heard)


def stages(name: str) -> list[str]:
    """The stages of a control, as the display has them, in their order."""
    variant = {**TEACHERS, **PROBED}.get(name, "trained")
    made = [f"teacher {variant}", f"knowledge {variant}"] if variant != "trained" else []
    if name in ("stilts", STILTS_DISTILLED):
        made = [f"control {SOURCE_ARM}"]
    return [*made, f"control {name}"]


def shuffle(terms: tuple[Term, ...], seed: int) -> tuple[Term, ...]:
    """The same things said, each of another example."""
    order = np.random.default_rng([seed, 5]).permutation(len(terms[0].weight))
    return tuple(
        replace(term, signals=term.signals.permuted(order), weight=term.weight[order])
        for term in terms
    )


def _probe(
    experiment: Experiment,
    sources: Mapping[str, Task],
    target: Task,
    pool: Callable[[], Split],
    rundir: RunDirectory,
    name: str,
) -> Answered:
    """A linear probe on what teachers see in the test inputs, their features side by side."""
    heard = hear(experiment, sources, pool(), rundir, PROBED[name])
    train, test = [], []
    for teacher, voice in heard.values():
        train.append(voice.knowledge.of(target.train.ids)[1][:])
        of_test = listen(experiment, teacher, target.test, rundir)
        test.append(of_test.of(target.test.ids)[1][:])
    with rundir.stage("control", name):
        probe = linear_probe(np.concatenate(train, axis=1), target.train.labels)
        logits = np.concatenate(test, axis=1) @ probe.weight.T + probe.bias
    return Answered(name, logits)


def _taught_the_source(experiment: Experiment, source: Task, rundir: RunDirectory) -> Path:
    """A student that has learnt the source task, with the teacher's own budget; kept, since seeds
    of the target task share it."""
    with rundir.stage("control", SOURCE_ARM) as stage:
        make = partial(_teach_the_source, experiment, source, stage)
        folder, _ = trained("students", stilts_key(experiment, source), stage, make)
    return folder / "model"


def _teach_the_source(
    experiment: Experiment, source: Task, stage: Stage, folder: Path, checkpoints: Checkpoints
) -> None:
    student, seed = experiment.student, experiment.teacher.seed
    preprocessor = student.preprocessor()
    transformers.set_seed(seed)
    model = student.build(source.labels).to(devices.resolve(experiment.device))
    encoded = source.settings.encode(source.train.inputs, preprocessor)
    lesson = Lesson(
        source.settings,
        encoded,
        source.train.labels,
        preprocessor,
        validation=encode_validation(source, preprocessor),
        ids=source.train.ids,
    )
    training = experiment.teacher.training
    fit(model, lesson, training, experiment.device, seed, SOURCE_ARM, stage, checkpoints)
    model.save_pretrained(folder / "model")
