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


class Cotuning(Loss):
    """A kept source head of the student predicts which source labels its target label implies."""

    needs_bridge: ClassVar[bool] = True
    choose_when: ClassVar[str] = "target labels are finer than the source labels, and well mapped"

    def projector(self, sizes: Sizes) -> nn.Module | None:
        return torch.nn.Linear(sizes.student_width, sizes.n_source_labels)

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        assert projector is not None
        prior = full_precision(teacher.logits).softmax(dim=-1).mean(dim=0)
        y = implied_source(teacher.label_map, prior, teacher.mapped, student.labels)
        log_p = torch.log_softmax(full_precision(projector(student.features)), dim=-1)
        return -(y * log_p).sum(dim=-1)


def implied_source(label_map: Tensor, prior: Tensor, mapped: Tensor, labels: Tensor) -> Tensor:
    """P(source label given target label), [B, K_S], rows sum to 1.

    label_map: [K_S, K_T], P(target given source). prior: [K_S], the teacher's mean distribution.
    Bayes' rule turns the map around; an unlabelled example (label -1) takes the teacher's belief
    over target labels instead of a label.

    Source: You et al., Co-Tuning, NeurIPS 2020; there the map is learned in this direction.
    """
    joint = label_map * prior[:, None]
    reverse = joint / joint.sum(dim=0, keepdim=True).clamp_min(1e-12)  # [K_S, K_T]
    gold = torch.nn.functional.one_hot(labels.clamp_min(0), label_map.shape[1]).to(mapped.dtype)
    belief = torch.where((labels >= 0)[:, None], gold, mapped)
    implied = belief @ reverse.T
    return implied / implied.sum(dim=-1, keepdim=True).clamp_min(1e-12)
