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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import transformers

from ctkd_cli.arms.adaptation import adapted
from ctkd_cli.arms.bridged_knowledge import apply_bridge, positions_of, with_probe
from ctkd_cli.arms.encoded_task import EncodedTask, save
from ctkd_cli.arms.keys import stilts_key
from ctkd_cli.arms.sources import ask_teachers, merge
from ctkd_cli.arms.student import Arm, ArmOutputs
from ctkd_cli.arms.teacher import extract_knowledge
from ctkd_cli.cache.entries import content_key
from ctkd_cli.distillation.probe import linear_probe
from ctkd_cli.distillation.signals import Joined
from ctkd_cli.evaluation.arm_names import STILTS_DISTILLED
from ctkd_cli.training.checkpoints import Checkpoints, trained

if TYPE_CHECKING:
    from ctkd_cli.arms.bridged_knowledge import BridgedKnowledge
    from ctkd_cli.arms.keys import Variant
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory, Stage
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task

SMOOTHING = 0.1
SOURCE_ARM = "stilts on source"  # the first half of stilts, in events and on the display
TEACHERS: dict[str, Variant] = {"generic_teacher": "generic", "random_teacher": "random"}
PROBED: dict[str, Variant] = {"probe": "trained", "features": "generic"}


@dataclass(frozen=True)
class Controls:
    """What the controls of one seed are made of. sources: the tasks that have a teacher each;
    bridged: what these said of the inputs that `pool` makes; train: an arm's training."""

    experiment: Experiment
    sources: Mapping[str, Task]
    target: Task
    pool: Callable[[], Split]
    bridged: BridgedKnowledge
    rundir: RunDirectory
    train: Callable[[Arm], ArmOutputs]

    def outputs(self) -> Iterator[ArmOutputs]:
        """Of the controls that the experiment asks for, one after the other."""
        for name in self.experiment.controls.arms:
            if name in PROBED:
                yield self._probe(name)
            else:
                yield self.train(self._arm(name))

    def _arm(self, name: str) -> Arm:
        bridged, seed = self.bridged, self.experiment.seed
        if name == "label_smoothing":
            return Arm(name, "control", label_smoothing=SMOOTHING)
        if name == "stilts":
            return Arm(name, "control", start=self._taught_the_source())
        if name == STILTS_DISTILLED:
            start = self._taught_the_source()
            return Arm(name, "control", bridged.terms, bridged.key, start)
        if name == "shuffled_teacher":
            order = np.random.default_rng([seed, 5]).permutation(len(self.target.train))
            key = content_key("shuffled", bridged.key, seed)
            return Arm(name, "control", bridged.terms.shuffled(order), key)
        asked = ask_teachers(
            self.experiment, self.sources, self.pool(), self.rundir, TEACHERS[name]
        )
        heads = [with_probe(knowledge, self.target) for _, knowledge in asked.values()]
        named = dict(zip(asked, heads, strict=True))
        probed = adapted(
            self.experiment,
            self.target,
            {name: (teacher, named[name]) for name, (teacher, _) in asked.items()},
            self.rundir,
        )
        others = apply_bridge(self.experiment, self.target, probed)
        return Arm(name, "control", others.terms, others.key)

    def _probe(self, name: str) -> ArmOutputs:
        """A linear probe on what teachers see in the test inputs, their features side by side."""
        experiment, rundir, target = self.experiment, self.rundir, self.target
        asked = ask_teachers(experiment, self.sources, self.pool(), rundir, PROBED[name])
        joined, of_test = [], []
        for teacher, knowledge in asked.values():
            joined.append(Joined.of(knowledge, target.train.ids, target.train.labels))
            said = extract_knowledge(experiment, teacher, target.test, rundir)
            rows, _ = positions_of(said, target.test)
            of_test.append(said.features[rows])
        with rundir.stage("control", name):
            _, _, gold = joined[0].known
            features = [each.knowledge.features[each.known[1]] for each in joined]
            pieces = (np.concatenate(each, axis=1) for each in zip(*joined, strict=True))
            fit = linear_probe(pieces, len(target.labels))
            weight, bias = fit(np.concatenate(features, axis=1), gold, None).as_head()
            logits = np.concatenate(of_test, axis=1) @ weight.T + bias
        return ArmOutputs(name, logits)

    def _taught_the_source(self) -> Path:
        """A student that has learnt the source task, with the teacher's own budget; kept, since
        seeds of the target task share it."""
        sources = self.sources
        source = merge(sources) if len(sources) > 1 else next(iter(sources.values()))
        with self.rundir.stage("control", SOURCE_ARM) as stage:
            make = partial(_teach_the_source, self.experiment, source, stage)
            key = stilts_key(self.experiment, source)
            folder, _ = trained("students", key, stage, make)
        return folder / "model"


def stages(name: str) -> list[str]:
    """The stages of a control, as the display has them, in their order."""
    variant = {**TEACHERS, **PROBED}.get(name, "trained")
    made = [f"teacher {variant}", f"knowledge {variant}"] if variant != "trained" else []
    if name in ("stilts", STILTS_DISTILLED):
        made = [f"control {SOURCE_ARM}"]
    return [*made, f"control {name}"]


def _teach_the_source(
    experiment: Experiment, source: Task, stage: Stage, folder: Path, checkpoints: Checkpoints
) -> None:
    student, teacher = experiment.student, experiment.teacher
    transformers.set_seed(teacher.seed)
    encoded = EncodedTask.of(source, student, experiment.device)
    loaded = encoded.load(student.build(source.labels, source.settings))
    encoded.fit(loaded, teacher.training, teacher.seed, SOURCE_ARM, stage, checkpoints)
    save(loaded, folder / "model")
