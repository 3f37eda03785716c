"""What a distillation loss sees, and what it may ask for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.runtime.lazy import torch
from ctkd_cli.settings.component import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ctkd_cli.distillation.folds import Fit
    from ctkd_cli.distillation.probe import Pieces


@dataclass(frozen=True)
class StudentOutputs:
    """At the B positions of a batch: a text has one, a sentence one for each of its words.

    logits: [B, K_T]. features: [B, d_S], the input of the student's final linear layer; both
    float32, whatever the model computes in: distances, norms and logarithms lose too much in half
    precision. labels: [B] int64, UNLABELLED (-1) where there is none."""

    logits: Tensor
    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TeacherOutputs:
    """What the store holds for the same B positions, joined by id and place.

    logits: [B, K_S]. features: [B, d_T]. head_weight: [K_S, d_T], head_bias: [K_S], the teacher's
    final linear layer, frozen. A teacher may lack features, and a head: a loss that `needs` them is
    refused then. Through the bridge:
    mapped: [B, K_T], the teacher's distribution over target labels, rows sum to 1.
    mass: [B], the share of the teacher's mass that lies on mapped labels, in [0, 1].
    label_map: [K_S, K_T], rows sum to 1 (0 where unmapped).
    shared: [n, 2] int64, pairs (source label, target label) with the same name.
    targets: [B, K_T], what the loss has made of the features (Loss.soft_targets), or uniform.
    """

    logits: Tensor
    features: Tensor
    head_weight: Tensor
    head_bias: Tensor
    mapped: Tensor
    mass: Tensor
    label_map: Tensor
    shared: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Sizes:
    """What a projector needs to know."""

    student_width: int
    teacher_width: int
    n_source_labels: int
    n_target_labels: int


class Loss(Component):
    """A distillation loss L_KD. Its fields are its settings, calling it computes it.

    Its value's mean over the batch's B positions, labelled or not, is scaled so that lambda = 1
    gives the student a gradient of the order of cross-entropy's. A loss of single positions has a
    value for each, so that they can be weighted; a relational loss, one that needs a batch
    (min_batch > 1), has one value for all.
    """

    package: ClassVar[str] = "distillation.losses"
    name: str = ""
    needs: ClassVar[frozenset[str]] = frozenset({"logits"})  # of a teacher: also features, head
    needs_bridge: ClassVar[bool] = False
    needs_shared_labels: ClassVar[int] = 0  # how many source labels must share a target's name
    needs_labelled_per_class: ClassVar[int] = 0
    min_batch: ClassVar[int] = 1
    max_rows: ClassVar[int | None] = None  # positions that it bears; of more, so many are drawn
    choose_when: ClassVar[str]  # one line for `ctkd list loss`

    def parts(self) -> list[tuple[Loss, float]]:
        """The losses that it is the weighted sum of: itself, but for a mix."""
        return [(self, 1.0)]

    def projector(self, sizes: Sizes) -> nn.Module | None:
        """Trainable parts of the loss: they join the student's optimiser and checkpoints."""
        return None

    def soft_targets(self, features: Pieces, n_labels: int) -> Sequence[Fit]:
        """How the loss makes soft target labels of a teacher's features: a function of the features
        [n, d_T] and the labels [n] of labelled positions that returns a judge of features,
        [m, d_T] -> [m, n_labels]. Fits leave folds out, so that no position is judged by its own
        label; a batch finds what its judges say in `TeacherOutputs.targets`. features: those of all
        inputs, some rows at a time. Of several the one serves that judges best what it has left
        out, the first where that cannot be told. None of them for losses that need none."""
        return ()

    @abstractmethod
    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        """The loss of a batch: [B], or [] when it compares examples with each other."""

    @classmethod
    def relational(cls) -> bool:
        """Whether it compares the examples of a batch: such a loss has no value for each."""
        return cls.min_batch > 1


class ProjectedLoss(Loss):
    """A loss on student features that a trained linear layer carries into the teacher's space."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    def projector(self, sizes: Sizes) -> nn.Module | None:
        return torch.nn.Linear(sizes.student_width, sizes.teacher_width)


def full_precision(tensor: Tensor) -> Tensor:
    """float32 at least: logarithms, distances and norms lose too much in half precision."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
