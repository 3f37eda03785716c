from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs, full_precision

if TYPE_CHECKING:
    from torch import Tensor, nn


class MseLogits(Loss):
    """Student logits towards the teacher's, on the labels that both tasks share."""

    needs_shared_labels: ClassVar[int] = 2
    choose_when: ClassVar[str] = "as kl, without a temperature to choose"

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        source, target = teacher.shared.unbind(dim=1)
        return mse_logits(teacher.logits[:, source], student.logits[:, target])


def mse_logits(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """Squared differences of centred logits, divided by K; both [B, K] -> [B].

    Rows are centred, since a softmax does not see a constant. The division by K is the gradient of
    KL at a high temperature, which this loss is the limit of.

    Source: Kim et al., Comparing KL divergence and MSE in KD, IJCAI 2021 (arXiv 2105.08919).
    """
    difference = full_precision(teacher_logits) - full_precision(student_logits)
    centred = difference - difference.mean(dim=-1, keepdim=True)
    return centred.square().mean(dim=-1)
