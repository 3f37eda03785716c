from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import (
    ProjectedLoss,
    StudentOutputs,
    TeacherOutputs,
    full_precision,
)
from ctkd_cli.distillation.losses.theta_marginal import under_teachers_head
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class ThetaCe(ProjectedLoss):
    """The teacher's frozen head on projected student features, against its own soft label."""

    needs: ClassVar[frozenset[str]] = frozenset({"logits", "head"})
    choose_when: ClassVar[str] = "as theta_marginal, with the optimum at the teacher's distribution"

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        source_logits = under_teachers_head(projector(student.features), teacher)
        return theta_ce(source_logits, full_precision(teacher.logits).softmax(dim=-1))


def theta_ce(source_logits: Tensor, y: Tensor) -> Tensor:
    """-sum_k y_k log p_k with p = softmax(Theta P h_S + b); both [B, K_S] -> [B].

    Its minimum is at p = y, where its value is the entropy of y.

    Source: nearest is Yang et al., SRRL, ICLR 2021 (the student's features under the teacher's
    frozen classifier).
    """
    return -(y * torch.log_softmax(source_logits, dim=-1)).sum(dim=-1)
