from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

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


class Crd(Loss):
    """Each example's student features should find their own teacher features among the batch's."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    min_batch: ClassVar[int] = 8
    max_rows: ClassVar[int | None] = 1024  # its memory grows with their square
    choose_when: ClassVar[str] = "labels are disjoint and batches are large"

    temperature: float = Field(0.1, gt=0)
    width: int = Field(128, ge=2, description="of the space in which they are compared")

    def projector(self, sizes: Sizes) -> nn.Module | None:
        return torch.nn.ModuleDict(
            {
                "student": torch.nn.Linear(sizes.student_width, self.width),
                "teacher": torch.nn.Linear(sizes.teacher_width, self.width),
            }
        )

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert isinstance(projector, torch.nn.ModuleDict)
        return contrastive(
            projector["student"](student.features),
            projector["teacher"](teacher.features),
            self.temperature,
        )


def contrastive(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """InfoNCE over the batch, divided by log B: [B, d], [B, d] -> scalar, 1 at chance.

    The paper draws negatives from a memory of the whole training set; here they are the batch's
    other examples, which needs no memory and is biased for small batches.

    Source: Tian, Krishnan, Isola, CRD, ICLR 2020 (arXiv 1910.10699).
    """
    student, teacher = (
        torch.nn.functional.normalize(full_precision(x), dim=-1, eps=1e-8)
        for x in (student, teacher)
    )
    similarity = student @ teacher.T / temperature  # [B, B], its own on the diagonal
    own = torch.arange(len(student), device=student.device)
    chance = torch.log(torch.tensor(float(max(2, len(student)))))
    return torch.nn.functional.cross_entropy(similarity, own) / chance
