"""The teacher: trained on the source task once (or taken as it is), asked once, kept by content."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import transformers

from ctkd_cli.arms.keys import Variant, knowledge_key, teacher_key
from ctkd_cli.backbones._pooled import final_linear
from ctkd_cli.cache.entries import Cache
from ctkd_cli.distillation import knowledge
from ctkd_cli.distillation.knowledge import Knowledge
from ctkd_cli.evaluation.efficiency import Candidate
from ctkd_cli.runtime import devices
from ctkd_cli.tasks.split import Split
from ctkd_cli.tasks.task import Task
from ctkd_cli.training import inference
from ctkd_cli.training.checkpoints import Checkpoints, trained
from ctkd_cli.training.trainer import Lesson, encode_validation, fit

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory, Stage
    from ctkd_cli.tasks.kinds.base import Kind


@dataclass(frozen=True)
class Teacher:
    """A trained teacher in the cache. test_logits: [N, K_S] on the source task's test split."""

    key: str
    folder: Path
    arm: str = ""  # the source that it knows and the control that it serves, if they need telling

    @property
    def test_logits(self) -> np.ndarray:
        return np.asarray(np.load(self.folder / "test_logits.npy"))

    @property
    def validation_logits(self) -> np.ndarray | None:
        """[N, K_S] on the source task's validation split; None when it has none."""
        file = self.folder / "validation_logits.npy"
        return np.asarray(np.load(file)) if file.exists() else None

    @property
    def truncated(self) -> dict[str, int]:
        """Source examples that lost content to the length limit, per split."""
        counts: dict[str, int] = json.loads((self.folder / "truncated.json").read_text())
        return counts

    def load(self, experiment: Experiment) -> PreTrainedModel:
        return experiment.teacher.load_trained(self.folder / "model")

    def candidate(self, experiment: Experiment, inputs: Split) -> Candidate:
        """The teacher, reading these inputs, to have its efficiency measured."""
        preprocessor = experiment.teacher.preprocessor()
        encoded = experiment.target.encode(inputs.inputs, preprocessor)
        model = self.load(experiment).to(devices.resolve(experiment.device))
        return Candidate(model, encoded, preprocessor, self.folder / "model")


def arm_of(name: str) -> str:
    """The arm of a source's teacher; name: of the source, "" for the only one."""
    return f"teacher_{name}" if name else "teacher"


def prepare(
    experiment: Experiment,
    source: Task,
    rundir: RunDirectory,
    variant: Variant = "trained",
    name: str = "",
) -> Teacher:
    """The teacher of an experiment, from the cache or made now.

    Variants serve as controls: `generic` is the same backbone without training on the source,
    `random` has no pretrained weights either. name: of the source, where there are several.
    """
    key = teacher_key(experiment, source, variant)
    arm = " ".join(word for word in (name, "" if variant == "trained" else variant) if word)
    with rundir.stage("teacher", arm, detail=f"{len(source.train)} source examples") as stage:
        make = partial(_make, experiment, source, stage, variant, arm_of(name))
        folder, _ = trained("teachers", key, stage, make)
    return Teacher(key, folder, arm)


def listen(
    experiment: Experiment,
    teacher: Teacher,
    inputs: Split,
    rundir: RunDirectory,
    of_test: bool = False,
) -> Knowledge:
    """What the teacher says of target inputs."""
    name = "evaluation" if of_test else "knowledge"
    arm = f"{arm_of('')} {teacher.arm}".strip() if of_test else teacher.arm
    with rundir.stage(name, arm, detail=f"{len(inputs)} target inputs") as stage:
        folder, reused = Cache("knowledge").get(
            knowledge_key(experiment, teacher.key, inputs),
            lambda folder: _listen(experiment, teacher, inputs, stage, folder),
            on_damage=lambda entry: stage.note(f"{entry} is damaged and is made again"),
            together=True,
        )
        if reused:
            stage.reused()
    return knowledge.read(folder)


def _make(
    experiment: Experiment,
    source: Task,
    stage: Stage,
    variant: Variant,
    arm: str,
    folder: Path,
    checkpoints: Checkpoints,
) -> None:
    settings = experiment.teacher.untrained() if variant == "random" else experiment.teacher
    device = devices.resolve(experiment.device)
    preprocessor = settings.preprocessor()
    kind: Kind = source.settings
    transformers.set_seed(settings.seed)
    train = kind.encode(source.train.inputs, preprocessor)
    test = kind.encode(source.test.inputs, preprocessor)
    validation = encode_validation(source, preprocessor)
    truncated = {"train": train.truncated, "test": test.truncated}
    (folder / "truncated.json").write_text(json.dumps(truncated))
    if settings.fine_tuned and variant == "trained":
        model = settings.build_fine_tuned(source.labels).to(device)
    else:
        model = settings.build(source.labels).to(device)
    if not settings.fine_tuned and variant == "trained":
        fit(
            model,
            Lesson(
                kind,
                train,
                source.train.labels,
                preprocessor,
                validation=validation,
                ids=source.train.ids,
            ),
            settings.training,
            experiment.device,
            settings.seed,
            arm,
            stage,
            checkpoints,
        )
    read = {"test": test} | ({"validation": validation[0]} if validation else {})
    for part, encoded in read.items():
        logits = inference.read(model, kind, encoded, preprocessor, experiment.device)
        np.save(folder / f"{part}_logits.npy", logits)
    model.save_pretrained(folder / "model")
    preprocessor.save_pretrained(folder / "model")


def _listen(
    experiment: Experiment, teacher: Teacher, pool: Split, stage: Stage, folder: Path
) -> None:
    kind = experiment.target
    model = teacher.load(experiment).to(devices.resolve(experiment.device))
    preprocessor = experiment.teacher.preprocessor()
    said = inference.batches(
        model,
        kind,
        kind.encode(pool.inputs, preprocessor),
        preprocessor,
        experiment.device,
        on_batch=stage.progress,
    )
    head = final_linear(model)
    bias = head.bias if head.bias is not None else head.weight.new_zeros(len(head.weight))
    head_weight, head_bias = (t.detach().float().cpu().numpy() for t in (head.weight, bias))
    knowledge.write(folder, pool.ids, said, head_weight, head_bias)
