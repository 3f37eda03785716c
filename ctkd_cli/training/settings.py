"""How a model is trained, as settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ctkd_cli.settings.component import Frozen, Positive
from ctkd_cli.tasks.imbalance import ClassWeights

Way = Literal["none", "probe", "fine_tune", "contrastive"]  # of a teacher's adaptation
FEW = 100  # labelled examples up to which adapting is cheap, and labels are what is missing


class Training(Frozen):
    """How a model is trained. The budget is `steps`, or `epochs` over the inputs."""

    steps: Positive | Literal["auto"] | None = Field(
        None,
        description="optimiser steps; auto: ten passes over the labelled examples, 100 steps at "
        "least and max_steps at most, and fewer where the loss has settled; wins over epochs",
    )
    max_steps: Positive = Field(500, description="the most that steps=auto takes")
    max_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="an end by the clock, for each model that is trained; a run that it cuts short "
        "cannot be repeated to the digit",
    )
    epochs: Annotated[float, Field(gt=0)] = Field(3.0, description="passes over the train inputs")
    batch_size: Positive = Field(32, description="inputs per step, labelled and unlabelled")
    labelled_per_batch: Positive | None = Field(
        None,
        description="labelled inputs in each batch; default: their share of the inputs, at least "
        "a quarter of the batch",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(5e-5, description="at its highest")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.01, description="of AdamW")
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="share of the steps")
    decay: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="how the learning rate falls after the warmup"
    )
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(
        1.0, description="longer gradients are cut to it"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of the target that all labels share"
    )
    class_weights: ClassWeights = Field(
        "auto",
        description="of classes in cross-entropy and in regressions on labelled examples: none, "
        "balanced (a class counts as much as another), sqrt (half-way), auto: balanced where "
        "one class has over three times the examples of another",
    )
    select: Literal["last", "best"] = Field(
        "last", description="keep the last weights, or those that score best on validation"
    )
    evaluations: Positive = Field(5, description="how often validation is read when select=best")

    @property
    def overruled(self) -> dict[str, str]:
        """The settings that are not used, with the reason."""
        return {"epochs": "not used: steps is set, and wins"} if self.steps is not None else {}


class TeacherSettings(Frozen):
    """The keys that a teacher has beside its backbone's."""

    seed: int = Field(0, description="the teacher's own seed, so that runs share a teacher")
    fine_tuned: bool = Field(
        False, description="use the model's own head as it is; its labels must match the source's"
    )
    wise_ft: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0,
        description="share of the fine-tuned weights; the rest is what they were before (WiSE-FT)",
    )
    adaptation: Literal["auto"] | Way | Annotated[tuple[Way, ...], Field(min_length=1)] = Field(
        "none",
        description="what the teacher learns from the labelled target examples before it is "
        "listened to: probe, a head that says the target's labels; fine_tune, the labels, from "
        "such a head on (LP-FT); contrastive, that examples of one label are alike (as SetFit "
        "does it); several: each by itself, and the student hears their average; auto: none and "
        f"contrastive where at most {FEW} examples have a label, else none",
    )
    training: Training = Training()

    def ways(self, n_labelled: int) -> tuple[Way, ...]:
        """Of adaptation, each once; n_labelled: target examples that have a label."""
        if self.adaptation == "auto":
            return ("none", "contrastive") if n_labelled <= FEW else ("none",)
        some = (self.adaptation,) if isinstance(self.adaptation, str) else self.adaptation
        return tuple(dict.fromkeys(some))


class StudentSettings(Frozen):
    """The keys that a student has beside its backbone's."""

    head_start: Literal["random", "regression"] = Field(
        "regression",
        description="the head's first weights: random, or a logistic regression of the labelled "
        "examples on what the untrained body makes of them (LP-FT)",
    )
    head_end: Literal["trained", "regression"] = Field(
        "trained",
        description="the head's last weights: as they were trained, or such a regression on what "
        "the trained body makes of the labelled examples",
    )
