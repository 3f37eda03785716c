from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, Sizes, StudentOutputs, TeacherOutputs
from ctkd_cli.distillation.losses.kl import soft_kl
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class AuxHeadKl(Loss):
    """A second head of the student predicts what the teacher says, in the teacher's own labels.

    The loss is `soft_kl` between the teacher and that head; no map between labels is needed, and
    the head is left behind after training.

    Source: Li and Hoiem, Learning without Forgetting, ECCV 2016 (arXiv 1606.09282).
    """

    choose_when: ClassVar[str] = "labels differ and no map between them is to be trusted"

    temperature: float = Field(2.0, gt=0)

    def projector(self, sizes: Sizes) -> nn.Module | None:
        return torch.nn.Linear(sizes.student_width, sizes.n_source_labels)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        own = projector(student.features)
        return soft_kl(teacher.logits, own, self.temperature)
