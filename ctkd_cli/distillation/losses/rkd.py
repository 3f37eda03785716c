from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Rkd(Loss):
    """Distances and angles between the examples of a batch, as the teacher sees them."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    min_batch: ClassVar[int] = 3
    max_rows: ClassVar[int | None] = 128  # its memory grows with their cube
    choose_when: ClassVar[str] = "labels are disjoint; relations between examples should carry over"

    distance: float = Field(25.0, ge=0, description="weight of the distances, as published")
    angle: float = Field(50.0, ge=0, description="weight of the angles, as published")

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        student_features = full_precision(student.features)
        teacher_features = full_precision(teacher.features)
        distances = distance_loss(student_features, teacher_features)
        angles = angle_loss(student_features, teacher_features)
        # The published weights stand against a metric-learning loss; their sum is what lambda = 1
        # is worth here.
        return (self.distance * distances + self.angle * angles) / (self.distance + self.angle)


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between pairwise distances, each divided by its mean over the batch's pairs.

    student: [B, d_S], teacher: [B, d_T] -> scalar. The diagonal has no part.

    Source: Park et al., Relational Knowledge Distillation, CVPR 2019 (arXiv 1904.05068), eq. 4-6.
    """
    return torch.nn.functional.smooth_l1_loss(_distances(student), _distances(teacher))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between the cosines of all angles at j of triples (i, j, k); as above, eq. 7-9."""
    return torch.nn.functional.smooth_l1_loss(_cosines(student), _cosines(teacher))


def _distances(features: Tensor) -> Tensor:
    """[B (B - 1)], relative to their mean."""
    n = len(features)
    squared = (features[:, None] - features[None]).square().sum(dim=-1)  # [B, B]
    off_diagonal = ~torch.eye(n, dtype=torch.bool, device=features.device)
    distances = squared[off_diagonal].clamp_min(1e-12).sqrt()
    return distances / distances.mean().clamp_min(1e-6)


def _cosines(features: Tensor) -> Tensor:
    """[B, B, B]: cosine of the angle at j between i and k."""
    edges = features[None] - features[:, None]  # [j, i, d]
    unit = torch.nn.functional.normalize(edges, dim=-1, eps=1e-6)
    return torch.einsum("jid,jkd->jik", unit, unit)
