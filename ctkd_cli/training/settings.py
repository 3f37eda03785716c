"""How a model is trained, as settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ctkd_cli.settings.component import Frozen, Positive


class Training(Frozen):
    """How a model is trained. The budget is `steps`, or `epochs` over the inputs."""

    steps: Positive | None = Field(None, description="optimiser steps; wins over epochs")
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
    select: Literal["last", "best"] = Field(
        "last", description="keep the last weights, or those that score best on validation"
    )
    evaluations: Positive = Field(5, description="how often validation is read when select=best")

    @property
    def overruled(self) -> dict[str, str]:
        """The settings that are not used, with the reason."""
        return {"epochs": "not used: steps is set, and wins"} if self.steps is not None else {}
