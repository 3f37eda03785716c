"""What the loop asks of a backbone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings.component import Component

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from ctkd_cli.tasks.kinds.base import Batch, Kind


@dataclass(frozen=True)
class ModelSize:
    """parameters: all weights. flops_per_unit: FLOPs of a forward pass per unit of the kind's size
    (a token, a pixel)."""

    parameters: int
    flops_per_unit: float


@dataclass(frozen=True)
class Outputs:
    """What a model says at S positions. logits: [S, K]. features: [S, d], the input of its head;
    None for a model that has none. read: that input as the head has read it, of which logits and
    features are made: gradients are measured there."""

    logits: Tensor
    features: Tensor | None
    read: Tensor | None = None


class Backbone(Component):
    """A classifier to be built. reads: the modalities of the kinds of task that it can read. gives:
    what losses can have of it as a teacher."""

    package: ClassVar[str] = "backbones"
    selector: ClassVar[str] = "backbone"
    backbone: str = ""
    reads: ClassVar[frozenset[str]]
    gives: ClassVar[frozenset[str]] = frozenset({"logits", "features", "head"})
    encodes_sentences: ClassVar[bool] = False  # as sentence-transformers would have it, for SetFit
    rate: ClassVar[float] = 1.0  # times training.learning_rate, at which a student of it learns

    @abstractmethod
    def build(self, labels: Sequence[str], kind: Kind) -> PreTrainedModel:
        """A classifier for a kind of task, with one output per label, id2label by name, in train
        mode.

        Weights that are not loaded are drawn from torch's global generator: seed it first.
        """

    def forward(self, model: PreTrainedModel, batch: Batch) -> Outputs:
        """Run a model of this sort."""
        from ctkd_cli.backbones._pooled import logits_and_features

        return Outputs(*logits_and_features(model, batch))

    def embed(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """What the model's body makes of its inputs, [S, d], without the head: the mean over real
        tokens of the last hidden state; at positions that the batch names, the state there; of a
        model that reads no tokens, what its head reads."""
        from ctkd_cli.backbones._pooled import embeddings, logits_and_features

        found = embeddings(model, batch)
        return logits_and_features(model, batch)[1] if found is None else found

    def head(self, model: PreTrainedModel) -> nn.Linear | None:
        """The layer that makes the logits, [K, d]; None for a model without a linear one."""
        from ctkd_cli.backbones._pooled import final_linear

        return final_linear(model)

    def build_fine_tuned(self, labels: Sequence[str], kind: Kind) -> PreTrainedModel:
        """The model with its own trained head, outputs in the order of `labels`, by name.

        Raises InputError as `require_head` does.
        """
        self.require_head(labels)
        raise NotImplementedError

    def require_head(self, labels: Sequence[str]) -> None:
        """Raise InputError when a label has no output of that name in the model's own head, or
        there is no such head. Builds no model."""
        raise InputError(
            Problem(
                f"backbone {self.backbone} has no fine-tuned models",
                where="teacher.fine_tuned",
                got="true",
                allowed="false",
            )
        )

    def require_files(self) -> None:
        """Raise InputError when the model's files are not there, or torn; without importing
        torch."""

    def require_sound(self) -> None:
        """Raise InputError when the model's configuration or preprocessor cannot be read, or they
        do not go together."""

    def require_fitting(self, kind: Kind) -> None:
        """Raise InputError when the weights do not fit the configuration, or there is no such
        architecture for a kind of task. Loads none of them."""

    @property
    def cuts_vocabulary(self) -> bool:
        """Whether it is to know only the tokens that the task's texts hold."""
        return False

    def write_cut(
        self, used: np.ndarray, frequencies: np.ndarray, kind: Kind, folder: Path
    ) -> None:
        """Write the model, untrained, and its preprocessor, with these token ids alone, those that
        any text needs, and kept.npy: their ids of before. used: [n], sorted; frequencies: [n],
        their shares of all tokens. Raises InputError for a model whose vocabulary cannot be cut.
        """
        raise NotImplementedError

    def lying_in(self, folder: Path) -> Self:
        """The same backbone with what `write_cut` has written."""
        raise NotImplementedError

    def untrained(self) -> Self:
        """The same architecture and preprocessing, with random weights."""
        return self

    @abstractmethod
    def load_trained(self, folder: Path) -> PreTrainedModel:
        """A classifier of this sort that save_pretrained has written."""

    @abstractmethod
    def preprocessor(self) -> Any:
        """What turns raw inputs into this model's inputs: its own tokenizer or image processor.

        It has `save_pretrained`.
        """

    @abstractmethod
    def load_preprocessor(self, folder: Path) -> Any:
        """A preprocessor that `save_pretrained` has written."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of everything that decides the initial weights and the preprocessing, without
        building the model and without importing torch."""

    @abstractmethod
    def size(self) -> ModelSize:
        """Parameters and cost, without building the model and without importing torch."""
