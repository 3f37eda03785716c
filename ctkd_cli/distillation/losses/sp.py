from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Sp(Loss):
    """Inputs that are alike to the teacher should be alike to the student."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    min_batch: ClassVar[int] = 8
    max_rows: ClassVar[int | None] = 1024  # its memory grows with their square
    choose_when: ClassVar[str] = "labels are disjoint; a relational loss without a projector"

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        return similarity_preserving(student.features, teacher.features)


def similarity_preserving(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """||G_T - G_S||_F^2 / B, G = H H^t with rows scaled to length 1; [B, d_S], [B, d_T] -> scalar.

    The paper divides by B^2 and compensates with a weight of 3000. Rows of length 1 leave a
    difference of the order of B in all, so a division by B gives a value of order 1.

    Source: Tung and Mori, ICCV 2019 (arXiv 1907.09682).
    """
    difference = _similarities(teacher_features) - _similarities(student_features)
    return difference.square().sum() / len(student_features)


def _similarities(features: Tensor) -> Tensor:
    features = full_precision(features)
    return torch.nn.functional.normalize(features @ features.T, dim=1, eps=1e-12)
