from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Dkd(Loss):
    """KL on the shared labels in two parts: the gold label against the rest, and within the rest.

    It asks for gold labels, so it speaks on labelled examples only; the others add nothing.
    """

    needs_shared_labels: ClassVar[int] = 3
    choose_when: ClassVar[str] = "shared labels and many labelled examples"

    temperature: float = Field(4.0, gt=0)
    rest: float = Field(8.0, ge=0, description="weight of what happens within the other labels")

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        source, target = teacher.shared.unbind(dim=1)
        gold = student.labels[:, None] == target[None]  # [B, n]
        told = gold.any(dim=1)  # labelled, and with a label that is shared
        losses = dkd(
            teacher.logits[told][:, source],
            student.logits[told][:, target],
            gold[told],
            self.temperature,
            self.rest,
        )
        # The others are zeros. Divided by the weights' sum for scale.
        return losses.new_zeros(len(gold)).masked_scatter(told, losses / (1 + self.rest))


def dkd(
    teacher_logits: Tensor, student_logits: Tensor, gold: Tensor, temperature: float, rest: float
) -> Tensor:
    """tau^2 (TCKD + rest * NCKD), per example: [B, K], [B, K], gold [B, K] bool -> [B].

    TCKD: KL between (p_gold, 1 - p_gold) of both. NCKD: KL among the other labels, renormalised.

    Source: Zhao et al., Decoupled Knowledge Distillation, CVPR 2022 (arXiv 2203.08679).
    """
    p = torch.log_softmax(full_precision(teacher_logits) / temperature, dim=-1)
    q = torch.log_softmax(full_precision(student_logits) / temperature, dim=-1)

    def binary(log: Tensor) -> Tensor:
        is_gold = log.masked_fill(~gold, -torch.inf).logsumexp(dim=-1)
        is_other = log.masked_fill(gold, -torch.inf).logsumexp(dim=-1)
        return torch.stack([is_gold, is_other], dim=-1)  # [B, 2]

    def others(log: Tensor) -> Tensor:
        return log.masked_fill(gold, -1e4).log_softmax(dim=-1)

    def divergence(first: Tensor, second: Tensor) -> Tensor:
        return (first.exp() * (first - second)).sum(dim=-1)

    tckd = divergence(binary(p), binary(q))
    nckd = divergence(others(p), others(q))
    return temperature**2 * (tckd + rest * nckd)
