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


class Vkd(Loss):
    """Student features, orthogonally projected, towards normalised teacher features."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    choose_when: ClassVar[str] = "as hint, when a free projector would learn too much by itself"

    def projector(self, sizes: Sizes) -> nn.Module | None:
        linear = torch.nn.Linear(sizes.student_width, sizes.teacher_width, bias=False)
        return torch.nn.utils.parametrizations.orthogonal(linear)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        return vkd(projector(student.features), teacher.features)


def vkd(rotated: Tensor, teacher_features: Tensor) -> Tensor:
    """Smooth L1 between O h_S and LN(h_T), both [B, d_T] -> [B]; O orthogonal, no bias.

    Source: Miles, Elezi, Deng, VkD, CVPR 2024 (arXiv 2403.06213).
    """
    teacher_features = full_precision(teacher_features)
    normalised = torch.nn.functional.layer_norm(teacher_features, teacher_features.shape[-1:])
    smooth_l1 = torch.nn.functional.smooth_l1_loss
    return smooth_l1(full_precision(rotated), normalised, reduction="none").mean(dim=-1)
