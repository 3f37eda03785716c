from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import (
    Loss,
    Sizes,
    StudentOutputs,
    TeacherOutputs,
    full_precision,
)
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class InvertedProj(Loss):
    """Teacher features, projected, towards the student's: what does not serve is projected away.

    The projector stands on the target side and can collapse; both sides are normalised without
    trainable scale, and cross-entropy on the labels stays on.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    choose_when: ClassVar[str] = "the tasks are far apart: the student takes what it can use"

    def projector(self, sizes: Sizes) -> nn.Module | None:
        return torch.nn.Linear(sizes.teacher_width, sizes.student_width)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        return inverted_projection(student.features, projector(teacher.features))


def inverted_projection(student_features: Tensor, projected: Tensor) -> Tensor:
    """mean of (LN(P h_T) - LN(h_S))^2 over the width; both [B, d_S] -> [B], in [0, 4].

    LN: each row to mean 0 and variance 1, without trainable parameters.

    Source: Auty, Miles et al., Learning to Project for Cross-Task Knowledge Distillation, 2024
    (arXiv 2403.14494).
    """
    width = student_features.shape[-1:]
    student, teacher = (
        torch.nn.functional.layer_norm(full_precision(x), width)
        for x in (student_features, projected)
    )
    return (teacher - student).square().mean(dim=-1)
