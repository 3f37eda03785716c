from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.distillation.losses.kl import soft_kl

if TYPE_CHECKING:
    from torch import Tensor, nn


class KlStd(Loss):
    """KL on the shared labels with standardised logits: only their shape is taught."""

    needs_shared_labels: ClassVar[int] = 3  # with two labels only the sign would be left
    choose_when: ClassVar[str] = "as kl, when teacher and student differ much in confidence"

    temperature: float = Field(2.0, gt=0)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        source, target = teacher.shared.unbind(dim=1)
        return kl_std(teacher.logits[:, source], student.logits[:, target], self.temperature)


def kl_std(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """soft_kl of z-scored logits, per example: [B, K], [B, K] -> [B].

    The published weight of 9 at temperature 2 is 4 (that is tau^2) times 2.25; the tau^2 is in
    soft_kl already and lambda is the rest.

    Source: Sun et al., Logit Standardization in KD, CVPR 2024 (arXiv 2403.01427).
    """
    return soft_kl(_standardise(teacher_logits), _standardise(student_logits), temperature)


def _standardise(logits: Tensor) -> Tensor:
    """Each row to mean 0 and standard deviation 1; a constant row to zeros."""
    logits = full_precision(logits)
    centred = logits - logits.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred / (variance + 1e-14).sqrt()
