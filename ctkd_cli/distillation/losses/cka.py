from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Cka(Loss):
    """Batches of student and teacher features should look alike up to rotation and scale."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    min_batch: ClassVar[int] = 16
    choose_when: ClassVar[str] = "labels are disjoint and you want no projector to train"

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        return 1 - linear_cka(student.features, teacher.features)


def linear_cka(first: Tensor, second: Tensor) -> Tensor:
    """Linear centred kernel alignment of two sets of features, [B, d_1] and [B, d_2] -> [0, 1].

    ||Y^t X||_F^2 / (||X^t X||_F ||Y^t Y||_F) with centred columns; computed on B x B Gram
    matrices, which are the smaller ones in a batch. Identical rows have no structure to compare
    and give 0.

    Source: Kornblith et al., ICML 2019 (arXiv 1905.00414), eq. 1 with the linear kernel.
    """
    first, second = (full_precision(x) - full_precision(x).mean(dim=0) for x in (first, second))
    gram_first, gram_second = first @ first.T, second @ second.T
    smallest = torch.finfo(gram_first.dtype).tiny
    alignment = (gram_first * gram_second).sum()
    norms = (gram_first.square().sum() * gram_second.square().sum()).clamp_min(smallest)
    return alignment / norms.sqrt()
