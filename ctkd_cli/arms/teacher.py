"""The teacher: trained on the source task once (or taken as it is), asked once, kept by content."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import transformers

from ctkd_cli.arms.encoded_task import EncodedTask, logits_of, save
from ctkd_cli.arms.keys import Variant, knowledge_key, teacher_key
from ctkd_cli.arms.weights import average, body
from ctkd_cli.cache.entries import Cache, ailment
from ctkd_cli.distillation import knowledge
from ctkd_cli.distillation.knowledge import Head, Knowledge
from ctkd_cli.runtime import devices
from ctkd_cli.training import inference
from ctkd_cli.training.checkpoints import Checkpoints, trained
from ctkd_cli.training.inference import LoadedModel

if TYPE_CHECKING:
    from torch import Tensor

    from ctkd_cli.arms.efficiency import Candidate
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory, Stage
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task


@dataclass(frozen=True)
class Teacher:
    """A trained teacher in the cache. source: the name of what it knows; labels: its own; variant:
    the control that it serves. test_logits: [S, K_S] on the source task's test split."""

    key: str
    folder: Path
    source: str
    labels: tuple[str, ...]
    named: bool = False  # whether its source needs telling, among several
    variant: Variant = "trained"

    @property
    def arm(self) -> str:
        """The arm that it is on its own task."""
        return arm_of(self.source if self.named else "")

    @property
    def title(self) -> str:
        """What tells its stages from those of others."""
        words = (self.source if self.named else "", self.variant)
        return " ".join(word for word in words if word not in ("", "trained"))

    @property
    def test_logits(self) -> np.ndarray:
        found = logits_of(self.folder, "test")
        assert found is not None, "a task has a test split"
        return found

    @property
    def validation_logits(self) -> np.ndarray | None:
        """[S, K_S] on the source task's validation split; None when it has none."""
        return logits_of(self.folder, "validation")

    @property
    def truncated(self) -> dict[str, int]:
        """Source examples that lost content to the length limit, per split."""
        counts: dict[str, int] = json.loads((self.folder / "truncated.json").read_text())
        return counts

    def load(self, experiment: Experiment) -> LoadedModel:
        """It, reading target inputs."""
        backbone, device = experiment.teacher, experiment.device
        model = backbone.load_trained(self.folder / "model").to(devices.resolve(device))
        return LoadedModel(model, backbone, backbone.preprocessor(), experiment.target, device)

    def candidate(self, experiment: Experiment, inputs: Split) -> Candidate:
        """The teacher, reading these inputs, to have its efficiency measured."""
        from ctkd_cli.arms.efficiency import Candidate

        loaded = self.load(experiment)
        encoded = loaded.kind.encode(inputs.inputs, loaded.preprocessor, inputs.digests)
        return Candidate(loaded, encoded, self.folder / "model")


def arm_of(source: str) -> str:
    """The arm of a source's teacher; source: its name, "" for the only one."""
    return f"teacher_{source}" if source else "teacher"


def load_teacher(
    experiment: Experiment,
    name: str,
    source: Task,
    rundir: RunDirectory,
    variant: Variant = "trained",
    named: bool = False,
) -> Teacher:
    """The teacher of a source task, from the cache or made now.

    Variants serve as controls: `generic` is the same backbone without training on the source,
    `random` has no pretrained weights either. named: whether there are several sources.
    """
    key = teacher_key(experiment, source, variant)
    teacher = Teacher(key, Path(), name, source.labels, named, variant)
    detail = f"{len(source.train)} source examples"
    with rundir.stage("teacher", teacher.title, detail=detail) as stage:
        make = partial(_make, experiment, source, stage, variant, teacher.arm)
        folder, _ = trained("teachers", key, stage, make)
    return Teacher(key, folder, name, source.labels, named, variant)


def extract_knowledge(
    experiment: Experiment,
    teacher: Teacher,
    inputs: Split,
    rundir: RunDirectory,
    of_test: bool = False,
) -> Knowledge:
    """What the teacher says of target inputs."""
    stage_name = "evaluation" if of_test else "knowledge"
    title = f"{arm_of('')} {teacher.title}".strip() if of_test else teacher.title
    key = knowledge_key(experiment, teacher.key, inputs)
    with rundir.stage(stage_name, title, detail=f"{len(inputs)} target inputs") as stage:
        folder, reused = Cache("knowledge").get(
            key,
            lambda folder: _ask(experiment, teacher, inputs, stage, folder),
            on_damage=lambda entry: stage.note(f"{entry} {ailment(entry)} and is made again"),
            together=True,
        )
        if reused:
            stage.reused()
    return knowledge.read(folder, teacher.source, teacher.labels, key)


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
    transformers.set_seed(settings.seed)
    encoded = EncodedTask.of(source, settings, experiment.device)
    (folder / "truncated.json").write_text(json.dumps(encoded.truncated))
    as_it_is = settings.fine_tuned and variant == "trained"
    build = settings.build_fine_tuned if as_it_is else settings.build
    loaded = encoded.load(build(source.labels, source.settings))
    if not settings.fine_tuned and variant == "trained":
        before: dict[str, Tensor] = {}
        if settings.wise_ft < 1:
            before = {name: held.clone() for name, held in body(settings, loaded.model).items()}
        encoded.fit(loaded, settings.training, settings.seed, arm, stage, checkpoints)
        if before:
            average(settings, loaded.model, before, settings.wise_ft)
    encoded.write_logits(loaded, folder)
    save(loaded, folder / "model")


def _ask(experiment: Experiment, teacher: Teacher, pool: Split, stage: Stage, folder: Path) -> None:
    loaded = teacher.load(experiment)
    encoded = loaded.kind.encode(pool.inputs, loaded.preprocessor, pool.digests)
    said = (
        (read.positions, read.logits, read.features)
        for read in inference.batches(loaded, encoded, on_batch=stage.progress)
    )
    knowledge.write(
        folder, pool.ids, said, _head(loaded), encoded.offsets, encoded.numbers, loaded.kind.top_k
    )


def _head(loaded: LoadedModel) -> Head | None:
    head = loaded.backbone.head(loaded.model)
    if head is None:
        return None
    bias = head.bias if head.bias is not None else head.weight.new_zeros(len(head.weight))
    return Head(*(t.detach().float().cpu().numpy() for t in (head.weight, bias)))
