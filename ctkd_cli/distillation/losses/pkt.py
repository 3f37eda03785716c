from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Pkt(Loss):
    """The probability that two examples are neighbours, as the teacher sees it."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    min_batch: ClassVar[int] = 8
    max_rows: ClassVar[int | None] = 1024  # its memory grows with their square
    choose_when: ClassVar[str] = "labels are disjoint; as sp, in the language of probabilities"

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        return pkt(student.features, teacher.features)


def pkt(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """mean over i of KL(p(. | i) of the teacher || the same of the student); [B, d_S], [B, d_T].

    p(j | i) is (cos(h_i, h_j) + 1) / 2, normalised over j != i. The published code sums p log(p/q)
    over all pairs and multiplies with 30,000; a mean of divergences, times B, has CE's order.

    Source: Passalis and Tefas, ECCV 2018 (arXiv 1803.10837).
    """
    p, q = _neighbours(teacher_features), _neighbours(student_features)
    smallest = torch.finfo(torch.float32).tiny
    divergence = (p * (p.clamp_min(smallest).log() - q.clamp_min(smallest).log())).sum(dim=-1)
    return len(student_features) * divergence.mean()


def _neighbours(features: Tensor) -> Tensor:
    """[B, B], rows sum to 1, the diagonal is 0."""
    unit = torch.nn.functional.normalize(full_precision(features), dim=-1, eps=1e-8)
    similarity = (unit @ unit.T + 1) / 2
    off_diagonal = 1 - torch.eye(len(features), dtype=similarity.dtype, device=similarity.device)
    similarity = similarity * off_diagonal
    return similarity / similarity.sum(dim=-1, keepdim=True).clamp_min(1e-12)
