from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from ctkd_cli.distillation.losses.base import Loss, StudentOutputs, TeacherOutputs
from ctkd_cli.distillation.losses.mapped_kl import kl_to_targets
from ctkd_cli.distillation.probe import Pieces
from ctkd_cli.runtime.lazy import special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from ctkd_cli.distillation.folds import Fit, Judge


class CenterKl(Loss):
    """Soft labels from nearness to the classes' centres in the teacher's features.

    softmax(sharpness * nearness(h_T, centre)). Distances are in units of the features' spread over
    all inputs, so that sharpness means the same for every teacher.

    Source: Ye, Lu, Zhan, ReFilled, CVPR 2020, second stage (there with cosines).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    choose_when: ClassVar[str] = "labels are disjoint and each has a few labelled examples"

    temperature: float = Field(1.0, gt=0)
    measure: Literal["distance", "cosine"] = Field(
        "distance", description="of nearness; cosine forgets how far out a feature lies"
    )
    sharpness: float = Field(1.0, gt=0, description="nearness is multiplied with it")

    def soft_targets(self, features: Pieces, n_labels: int) -> Sequence[Fit]:
        # About their mean: features of a fine-tuned encoder share a large common direction.
        near = MEASURES[self.measure]
        n = sum(map(len, features))
        mean = sum(piece.sum(axis=0) for piece in features) / n
        spread = sum(np.square(piece - mean).sum() for piece in features) / n
        scale = np.sqrt(spread).clip(1e-12)

        def fit(labelled: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> Judge:
            present = np.unique(labels)  # a centre is the same however its class is weighed
            middles = centres((labelled - mean) / scale, labels)

            def judge(new: np.ndarray) -> np.ndarray:
                whole = np.zeros((len(new), n_labels))
                whole[:, present] = special.softmax(
                    self.sharpness * near((new - mean) / scale, middles), axis=1
                )
                return whole

            return judge

        return [fit]

    def __call__(
        self, student: StudentOutputs, teacher: TeacherOutputs, projector: nn.Module | None
    ) -> Tensor:
        return kl_to_targets(teacher.targets, student.logits, self.temperature)


def centres(features: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Mean feature of each label that has an example, [C, d], in the order of the labels."""
    return np.stack([features[gold == label].mean(axis=0) for label in np.unique(gold)])


def cosines(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """cos(h, centre), [N, K]."""
    return np.asarray(_unit(features) @ _unit(centres).T)


def closeness(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """-||h - centre||^2, [N, K]; a softmax of it is one of dot products with a bias per centre.

    Source: Snell, Swersky, Zemel, Prototypical Networks, NeurIPS 2017 (arXiv 1703.05175).
    """
    from scipy.spatial.distance import cdist  # not at start-up

    return -np.asarray(cdist(features, centres, "sqeuclidean"))


MEASURES = {"distance": closeness, "cosine": cosines}


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))
