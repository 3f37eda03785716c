"""A task as one model reads it, encoded once; and that model's training and answers on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ctkd_cli.arms.efficiency import Candidate
from ctkd_cli.runtime import devices
from ctkd_cli.training import inference
from ctkd_cli.training.inference import LoadedModel
from ctkd_cli.training.trainer import TrainingSet, fit

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.distillation.terms import Distillation
    from ctkd_cli.runs.rundir import Event, Stage
    from ctkd_cli.runtime.devices import Device
    from ctkd_cli.tasks.kinds.base import Encoded
    from ctkd_cli.tasks.task import Task
    from ctkd_cli.training.checkpoints import Checkpoints
    from ctkd_cli.training.settings import Training


@dataclass(frozen=True)
class EncodedTask:
    """splits: train, test and, where the task has one, validation."""

    task: Task
    backbone: Backbone
    device: Device
    preprocessor: Any
    splits: dict[str, Encoded]

    @classmethod
    def of(cls, task: Task, backbone: Backbone, device: Device, before: Self | None = None) -> Self:
        """before: that of another seed, which has most likely read the same inputs."""
        if before is not None and all(
            split.ids == before.task.splits()[name].ids for name, split in task.splits().items()
        ):
            return replace(before, task=task)
        preprocessor = backbone.preprocessor()
        splits = {
            name: task.settings.encode(split.inputs, preprocessor, split.digests)
            for name, split in task.splits().items()
            if len(split) or name != "validation"
        }
        return cls(task, backbone, device, preprocessor, splits)

    def load(self, model: PreTrainedModel) -> LoadedModel:
        """A model on its device, with what reads for it."""
        model = model.to(devices.resolve(self.device))
        return LoadedModel(model, self.backbone, self.preprocessor, self.task.settings, self.device)

    def fit(
        self,
        loaded: LoadedModel,
        training: Training,
        seed: int,
        arm: str,
        stage: Stage,
        checkpoints: Checkpoints,
        distillation: Distillation | None = None,
        pairs: bool = False,
    ) -> list[Event]:
        """Train a model on the task in place; what was told of it. pairs: as of TrainingSet. Raises
        as `fit` does."""
        validation = None
        if "validation" in self.splits:
            validation = self.splits["validation"], self.task.validation.labels
        data = TrainingSet(
            self.splits["train"], self.task.train.labels, self.task.labels, distillation,
            validation, self.task.train.ids, pairs,
        )  # fmt: skip
        return fit(loaded, data, training, seed, arm, stage, checkpoints)

    def write_logits(self, loaded: LoadedModel, folder: Path) -> None:
        """What a model says of test and of validation, for `logits_of`."""
        for name in ("test", "validation"):
            if name in self.splits:
                offsets = self.task.splits()[name].labels.offsets
                logits = inference.read(loaded, self.splits[name], offsets)
                np.save(folder / f"{name}.npy", logits)

    def candidate(self, folder: Path) -> Candidate:
        """A trained model of this sort, to have its efficiency measured on test."""
        loaded = self.load(self.backbone.load_trained(folder))
        return Candidate(loaded, self.splits["test"], folder)

    @property
    def truncated(self) -> dict[str, int]:
        """Examples that lost content to the length limit, per split."""
        return {name: encoded.truncated for name, encoded in self.splits.items()}


def logits_of(folder: Path, split: str) -> np.ndarray | None:
    """[S, K], of every position of a split, as `write_logits` has kept it; None where the task has
    no such split."""
    file = folder / f"{split}.npy"
    return np.load(file) if file.exists() else None


def save(loaded: LoadedModel, folder: Path) -> None:
    """A model in the format of save_pretrained, with its preprocessor."""
    loaded.model.save_pretrained(folder)
    loaded.kind.save_preprocessor(loaded.preprocessor, folder)
