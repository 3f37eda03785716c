from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Dist(Loss):
    """Student and mapped teacher should correlate: within each example and within each label."""

    needs_bridge: ClassVar[bool] = True
    min_batch: ClassVar[int] = 8
    choose_when: ClassVar[str] = "three or more labels, and a much stronger teacher"

    temperature: float = Field(1.0, gt=0)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        return dist(teacher.mapped, student.logits, self.temperature)


def dist(mapped: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """tau^2 ((1 - mean row correlation) + (1 - mean column correlation)); both [B, K] -> scalar.

    mapped: the teacher's distribution over target labels, softened to q^(1/tau) / norm. With two
    labels a row's correlation is only a sign: choose another loss.

    Source: Huang et al., DIST, NeurIPS 2022 (arXiv 2205.10536).
    """
    smallest = torch.finfo(torch.float32).tiny
    log_q = full_precision(mapped).clamp_min(smallest).log()
    q = (log_q / temperature).softmax(dim=-1)
    p = (full_precision(student_logits) / temperature).softmax(dim=-1)
    rows, columns = _correlation(q, p), _correlation(q.T, p.T)
    return temperature**2 * ((1 - rows).mean() + (1 - columns).mean())


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's, of each row: [n, m], [n, m] -> [n]; 0 where a row is constant."""
    first, second = (x - x.mean(dim=-1, keepdim=True) for x in (first, second))
    return torch.nn.functional.cosine_similarity(first, second, dim=-1, eps=1e-8)
