"""Arms: the ways in which one student is trained on one target task, so that they can be compared.

All arms share the data, the labelled subset, the initial weights, the order and the budget. They
differ in what an `Arm` says, and in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers

from ctkd_cli import devices, inference
from ctkd_cli.backbones._pooled import final_linear
from ctkd_cli.evaluation.efficiency import Candidate
from ctkd_cli.learner import Teaching
from ctkd_cli.tasks.base import Encoded
from ctkd_cli.teacher import encode_validation
from ctkd_cli.training import Lesson, fit

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

    from ctkd_cli.experiment import Experiment
    from ctkd_cli.rundir import RunDirectory
    from ctkd_cli.task import Task
    from ctkd_cli.terms import Term


@dataclass(frozen=True)
class Arm:
    """stage: student or control. terms: what the student hears beside its labels, if anything.
    start: a folder with weights to begin with, its head apart. label_smoothing: in place of the
    training's own."""

    name: str
    stage: str = "student"
    terms: tuple[Term, ...] = ()
    start: Path | None = None
    label_smoothing: float | None = None


@dataclass(frozen=True)
class Answered:
    """An arm that trains no student. logits: [N, K] on the target's test split."""

    name: str
    logits: np.ndarray


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
        preprocessor = experiment.student.preprocessor()
        kind = target.settings
        if before is not None and all(
            list(split.ids) == list(before.target.splits()[name].ids)
            for name, split in target.splits().items()
        ):
            validation = before.validation and (before.validation[0], target.validation.labels)
            return replace(before, experiment=experiment, target=target, validation=validation)
        return cls(
            experiment=experiment,
            target=target,
            preprocessor=preprocessor,
            train=kind.encode(target.train.inputs, preprocessor),
            test=kind.encode(target.test.inputs, preprocessor),
            validation=encode_validation(target, preprocessor),
        )

    def teach(self, arm: Arm, rundir: RunDirectory) -> PreTrainedModel:
        """Train a new student the way the arm says."""
        experiment = self.experiment
        with rundir.stage(arm.stage, arm.name) as stage:
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
            fit(
                model,
                Lesson(
                    self.target.settings,
                    self.train,
                    self.target.train.labels,
                    self.preprocessor,
                    teaching,
                    self.validation,
                ),
                training,
                experiment.device,
                experiment.seed,
                arm.name,
                stage,
                rundir.path / f"checkpoints-{arm.name}",
            )
        return model

    def examine(self, model: PreTrainedModel) -> np.ndarray:
        """Logits [N, K] on test, read once per arm."""
        return self._logits(model, self.test)

    def validate(self, model: PreTrainedModel) -> np.ndarray | None:
        """Logits [N, K] on validation, None when the task has none."""
        return None if self.validation is None else self._logits(model, self.validation[0])

    def candidate(self, model: PreTrainedModel, folder: Path) -> Candidate:
        """A student, saved in `folder`, to have its efficiency measured."""
        return Candidate(model, self.test, self.preprocessor, folder)

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """The student with its preprocessor, as from_pretrained loads it."""
        model.save_pretrained(folder)
        self.preprocessor.save_pretrained(folder)

    def _logits(self, model: PreTrainedModel, encoded: Encoded) -> np.ndarray:
        kind, device = self.target.settings, self.experiment.device
        logits, _ = inference.read(model, kind, encoded, self.preprocessor, device)
        return logits

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
