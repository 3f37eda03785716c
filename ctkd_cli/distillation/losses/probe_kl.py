from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs
from ctkd_cli.distillation.losses.mapped_kl import kl_to_targets
from ctkd_cli.distillation.probe import STRENGTHS, linear_probes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ctkd_cli.distillation.folds import Fit
    from ctkd_cli.distillation.probe import Pieces


class ProbeKl(Loss):
    """Soft labels from a linear probe on the teacher's features: the teacher with a new head.

    The probe is a logistic regression, fitted on labelled target train (probe.py). The strongest
    simple way to re-head a teacher.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    choose_when: ClassVar[str] = "labels differ in any way; the default"

    temperature: float = Field(1.0, gt=0)
    strength: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        "auto",
        description="inverse regularisation, scikit-learn's C; auto: the best of some by "
        "cross-validated log-likelihood",
    )

    def soft_targets(self, features: Pieces, n_labels: int) -> Sequence[Fit]:
        strengths = STRENGTHS if self.strength == "auto" else (self.strength,)
        return linear_probes(features, n_labels, strengths)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        return kl_to_targets(teacher.targets, student.logits, self.temperature)
