from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.distillation.losses.kl import soft_kl
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class MappedKl(Loss):
    """Hinton's loss on the teacher's distribution, carried over to the target labels."""

    needs_bridge: ClassVar[bool] = True
    choose_when: ClassVar[str] = "labels differ but a map between them makes sense"

    temperature: float = Field(2.0, gt=0)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        return mapped_kl(
            teacher.mapped, teacher.mass, student.logits, teacher.label_map, self.temperature
        )


def kl_to_targets(targets: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """soft_kl against a distribution; targets, student_logits: [B, K_T] -> [B].

    log q are logits of q, so softening q to q^(1/tau) / norm is softening them.
    """
    smallest = torch.finfo(torch.float32).tiny
    log_q = full_precision(targets).clamp_min(smallest).log()
    return soft_kl(log_q, student_logits, temperature)


def mapped_kl(
    mapped: Tensor,
    mass: Tensor,
    student_logits: Tensor,
    label_map: Tensor,
    temperature: float,
) -> Tensor:
    """m(x) * tau^2 * KL(q^(1/tau) / norm || softmax(z_S / tau)), q = softmax(z_T) W.

    mapped q: [B, K_T]. mass m: [B]. student_logits: [B, K_T]. label_map W: [K_S, K_T]. -> [B].

    The teacher is mapped at tau = 1 FIRST and q is softened afterwards: softening z_T before the
    map would give labels that many source labels lead to more mass, the more the higher tau.
    Target labels that no source label leads to are left out on both sides: the teacher knows
    nothing of them, which is not the same as excluding them. With W = identity this is `kl`.

    Source: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531), through a label map.
    """
    reached = label_map.sum(dim=0) > 0  # [K_T]
    smallest = torch.finfo(torch.float32).tiny
    log_q = full_precision(mapped[:, reached]).clamp_min(smallest).log()
    # log q are logits of q, so softening q is softening them.
    return mass * soft_kl(log_q, student_logits[:, reached], temperature)
