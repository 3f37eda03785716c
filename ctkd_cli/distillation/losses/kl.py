from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Kl(Loss):
    """Distillation on the labels that both tasks share."""

    needs_shared_labels: ClassVar[int] = 2
    choose_when: ClassVar[str] = "both tasks have the same labels, or share two or more"

    temperature: float = Field(2.0, gt=0)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        source, target = teacher.shared.unbind(dim=1)
        shared_mass = teacher.logits.softmax(dim=-1)[:, source].sum(dim=-1)  # [B]
        divergence = soft_kl(teacher.logits[:, source], student.logits[:, target], self.temperature)
        return shared_mass * divergence


def soft_kl(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """tau^2 * KL(softmax(z_T / tau) || softmax(z_S / tau)), per example.

    Both [B, K] -> [B], in nats. The factor tau^2 keeps the gradient's size when tau changes.
    Restricted to the labels that two heads share, both sides are restricted alike, as in UHC
    (Vongkulbhisal et al., CVPR 2019, arXiv 1904.06062).

    Source: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531).
    """
    log_p = torch.log_softmax(full_precision(teacher_logits) / temperature, dim=-1)
    log_q = torch.log_softmax(full_precision(student_logits) / temperature, dim=-1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1)
