from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import (
    ProjectedLoss,
    StudentOutputs,
    TeacherOutputs,
    full_precision,
)
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Cosine(ProjectedLoss):
    """Student features, projected, in the direction of the teacher's."""

    choose_when: ClassVar[str] = "hint would do, but the scale of the features means little"

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        return cosine(projector(student.features), teacher.features)


def cosine(projected: Tensor, teacher_features: Tensor) -> Tensor:
    """1 - cos(P h_S, h_T), both [B, d_T] -> [B], in [0, 2].

    Source: the direction term of DistilBERT's loss (Sanh et al. 2019, arXiv 1910.01108), on
    projected pooled features.
    """
    similarity = torch.nn.functional.cosine_similarity(
        full_precision(projected), full_precision(teacher_features), dim=-1, eps=1e-8
    )
    return 1 - similarity
