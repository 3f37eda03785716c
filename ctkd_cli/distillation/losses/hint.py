from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import (
    ProjectedLoss,
    StudentOutputs,
    TeacherOutputs,
    full_precision,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class Hint(ProjectedLoss):
    """Student features, through a trained projection, towards the teacher's."""

    choose_when: ClassVar[str] = "labels are disjoint, or logits say little: features must carry"

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        return hint(projector(student.features), teacher.features)


def hint(projected: Tensor, teacher_features: Tensor) -> Tensor:
    """||P h_S - h_T||^2 / mean ||h_T||^2, both [B, d_T] -> [B]; the mean is the batch's.

    The paper has no denominator; with it the loss is a share of the teacher's energy, so that
    lambda means the same for teachers of any width and scale.

    Source: Romero et al., FitNets, ICLR 2015 (arXiv 1412.6550).
    """
    projected, teacher_features = full_precision(projected), full_precision(teacher_features)
    energy = teacher_features.square().mean().clamp_min(1e-12)
    return (projected - teacher_features).square().mean(dim=-1) / energy
