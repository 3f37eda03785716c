"""Arms: the ways in which one student is trained on one target task, so that they can be compared.

All arms share the data, the labelled subset, the initial weights, the order and the budget. They
differ in what an `Arm` says, and in nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import transformers

from ctkd_cli.backbones._pooled import final_linear
from ctkd_cli.cache.entries import content_key
from ctkd_cli.evaluation.efficiency import Candidate
from ctkd_cli.runs import environment
from ctkd_cli.runtime import devices
from ctkd_cli.tasks.kinds.base import Encoded
from ctkd_cli.training import inference
from ctkd_cli.training.checkpoints import Checkpoints, trained
from ctkd_cli.training.objective import Teaching
from ctkd_cli.training.trainer import Lesson, encode_validation, fit

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ctkd_cli.distillation.terms import Term
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import Event, RunDirectory, Stage
    from ctkd_cli.tasks.task import Task


@dataclass(frozen=True)
class Arm:
    """stage: student or control. terms: what the student hears beside its labels, if anything;
    hears: the key of what decided them. start: a folder with weights to begin with, its head
    apart. label_smoothing: in place of the training's own."""

    name: str
    stage: str = "student"
    terms: tuple[Term, ...] = ()
    hears: str = ""
    start: Path | None = None
    label_smoothing: float | None = None


@dataclass(frozen=True)
class Answered:
    """What an arm said of the target's test split, [N, K], and of its validation split where there
    is one. folder: with the trained student, where it was kept."""

    name: str
    logits: np.ndarray
    validation: np.ndarray | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Classroom:
    """The target task as the student reads it, encoded once for all arms."""

    experiment: Experiment
    target: Task
    preprocessor: Any
    train: Encoded
    test: Encoded
    validation: tuple[Encoded, np.ndarray] | None

    @classmethod
    def open(
        cls, experiment: Experiment, target: Task, before: Classroom | None = None
    ) -> Classroom:
        """before: that of another seed, which has most likely read the same inputs."""
        if before is not None and all(
            split.ids == before.target.splits()[name].ids for name, split in target.splits().items()
        ):
            validation = before.validation and (before.validation[0], target.validation.labels)
            return replace(before, experiment=experiment, target=target, validation=validation)
        preprocessor = experiment.student.preprocessor()
        kind = target.settings
        return cls(
            experiment=experiment,
            target=target,
            preprocessor=preprocessor,
            train=kind.encode(target.train.inputs, preprocessor),
            test=kind.encode(target.test.inputs, preprocessor),
            validation=encode_validation(target, preprocessor),
        )

    def outcome(self, arm: Arm, rundir: RunDirectory, keep_model: bool = False) -> Answered:
        """Train a new student the way the arm says, or find what the very same training gave
        before; its answers, read once."""
        again = not self.experiment.reuse
        key = arm_key(self.experiment, self.target, arm, keep_model)

        with rundir.stage(arm.stage, arm.name) as stage:
            folder, reused = trained(
                "arms", key, stage, partial(self._make, arm, stage, keep_model), again
            )
            if reused:
                for event in json.loads((folder / "events.json").read_text(encoding="utf-8")):
                    stage.event(**event)
        validation = folder / "validation.npy"
        return Answered(
            arm.name,
            np.load(folder / "test.npy"),
            np.load(validation) if validation.exists() else None,
            folder / "model" if keep_model else None,
        )

    def _make(
        self, arm: Arm, stage: Stage, keep_model: bool, folder: Path, checkpoints: Checkpoints
    ) -> None:
        """A trained arm as the cache keeps it: answers, what its training told, its student."""
        model, events = self._teach(arm, stage, checkpoints)
        text = json.dumps([{**event, "arm": arm.name} for event in events])
        (folder / "events.json").write_text(text, encoding="utf-8")
        np.save(folder / "test.npy", self._logits(model, self.test))
        if self.validation is not None:
            np.save(folder / "validation.npy", self._logits(model, self.validation[0]))
        if keep_model:
            model.save_pretrained(folder / "model")
            self.preprocessor.save_pretrained(folder / "model")

    def _teach(
        self, arm: Arm, stage: Stage, checkpoints: Checkpoints
    ) -> tuple[PreTrainedModel, list[Event]]:
        experiment = self.experiment
        transformers.set_seed(experiment.seed)
        model = experiment.student.build(self.target.labels)
        if arm.start is not None:
            _take_body(model, experiment.student.load_trained(arm.start))
        model = model.to(devices.resolve(experiment.device))
        teaching = None
        if arm.terms and experiment.lambda_ > 0:
            teaching = Teaching(
                arm.terms, experiment.lambda_, experiment.schedule, experiment.on_conflict
            )
        training = experiment.training
        if arm.label_smoothing is not None:
            training = training.model_copy(update={"label_smoothing": arm.label_smoothing})
        lesson = Lesson(
            self.target.settings,
            self.train,
            self.target.train.labels,
            self.preprocessor,
            teaching,
            self.validation,
            self.target.train.ids,
        )
        seed, device = experiment.seed, experiment.device
        events = fit(model, lesson, training, device, seed, arm.name, stage, checkpoints)
        return model, events

    def candidate(self, folder: Path) -> Candidate:
        """A trained student, to have its efficiency measured."""
        model = self.experiment.student.load_trained(folder)
        model = model.to(devices.resolve(self.experiment.device))
        return Candidate(model, self.test, self.preprocessor, folder)

    def _logits(self, model: PreTrainedModel, encoded: Encoded) -> np.ndarray:
        kind, device = self.target.settings, self.experiment.device
        return inference.read(model, kind, encoded, self.preprocessor, device)

    def truncated(self) -> dict[str, int]:
        """Examples that lost content to the length limit, per split."""
        splits = {"train": self.train, "test": self.test}
        if self.validation is not None:
            splits["validation"] = self.validation[0]
        return {name: encoded.truncated for name, encoded in splits.items()}


def _take_body(model: PreTrainedModel, other: PreTrainedModel) -> None:
    """Copy all weights but those of the final linear layer."""
    head = final_linear(model)
    name = next(name for name, module in model.named_modules() if module is head)
    body = {k: v for k, v in other.state_dict().items() if not k.startswith(f"{name}.")}
    model.load_state_dict(body, strict=False)


def arm_key(experiment: Experiment, target: Task, arm: Arm, keep_model: bool) -> str:
    """What decides a trained student and its answers, the code that computes among it."""
    student, training = experiment.student, experiment.training
    hears = arm.hears if arm.terms and experiment.lambda_ > 0 else None
    schedule = experiment.schedule.model_dump(mode="json")
    parts = [experiment.schedule, experiment.bridge, *(loss for loss, _ in experiment.loss.parts())]
    return content_key(
        "arm",
        environment.code_hash(student, target.settings, *parts),
        student.fingerprint(),
        target.fingerprint,
        [training.model_dump(mode="json"), experiment.seed, devices.precision(experiment.device)],
        hears and [hears, experiment.lambda_, schedule, experiment.on_conflict],
        [arm.label_smoothing, arm.start and arm.start.parent.name, keep_model],
    )
