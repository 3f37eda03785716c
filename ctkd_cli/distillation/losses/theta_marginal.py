from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ctkd_cli.distillation.losses.base import (
    ProjectedLoss,
    StudentOutputs,
    TeacherOutputs,
    full_precision,
)
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class ThetaMarginal(ProjectedLoss):
    """The teacher's frozen head on projected student features: -log sum_k p_k y_k."""

    needs: ClassVar[frozenset[str]] = frozenset({"logits", "head"})
    needs_bridge: ClassVar[bool] = True
    choose_when: ClassVar[str] = "you want the student's features to work under the teacher's head"

    targets: Literal["teacher", "bridge"] = Field(
        "teacher",
        description="y_k: the teacher's soft label, or P(target label given source label k)",
    )

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        source_logits = under_teachers_head(projector(student.features), teacher)
        if self.targets == "teacher":
            y = full_precision(teacher.logits).softmax(dim=-1)  # [B, K_S]
        else:
            y = bridge_likelihood(teacher.label_map, teacher.mapped, student.labels)
        return theta_marginal(source_logits, y)


def under_teachers_head(projected: Tensor, teacher: TeacherOutputs) -> Tensor:
    """Theta P h_S + b, [B, K_S]: what the teacher's frozen head makes of projected features."""
    return torch.nn.functional.linear(
        full_precision(projected), teacher.head_weight, teacher.head_bias
    )


def theta_marginal(source_logits: Tensor, y: Tensor) -> Tensor:
    """-log sum_k p_k y_k with p = softmax(Theta P h_S + b).

    source_logits: [B, K_S], the teacher's frozen head Theta, b on projected student features.
    y: [B, K_S], non-negative -> [B], in nats.

    With y the teacher's soft label this is NOT soft cross-entropy: its minimiser is one-hot at
    argmax y, and a uniform y gives no gradient at all. With y_k = P(y given k) it is the negative
    LEEP likelihood of the label (Nguyen et al., ICML 2020, arXiv 2002.12462), and an optimum is a
    p that explains the label.
    """
    log_p = torch.log_softmax(source_logits, dim=-1)
    log_y = y.clamp_min(torch.finfo(torch.float32).tiny).log()
    return -torch.logsumexp(log_p + log_y, dim=-1)


def bridge_likelihood(label_map: Tensor, mapped: Tensor, labels: Tensor) -> Tensor:
    """y_k = P(y given k), [B, K_S]: W's column of the gold label; where an example has no label,
    the columns weighted by the teacher's own distribution over target labels."""
    n_labels = label_map.shape[1]
    gold = torch.nn.functional.one_hot(labels.clamp_min(0), n_labels).to(mapped.dtype)
    belief = torch.where((labels >= 0)[:, None], gold, mapped)  # [B, K_T]
    return belief @ label_map.T
