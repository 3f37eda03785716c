from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ctkd_cli.distillation.bridges.base import LearnedBridge


class Leep(LearnedBridge):
    """Learned from labelled target examples: W[z, y] = P(y given z), where
    P(y, z) = 1/n sum_i [y_i = y] theta(x_i)_z and theta is the teacher's distribution.

    `prior` pseudo-counts per row, spread over the target labels as they are in the data, keep
    rare source labels undecided instead of arbitrary.

    Source: Nguyen, Hassner, Seeger, Archambeau, LEEP, ICML 2020 (arXiv 2002.12462).
    """

    prior: float = Field(0.1, ge=0)

    def learn(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray,
        one_hot: np.ndarray,
    ) -> np.ndarray:
        counts = probabilities.T @ one_hot  # [K_S, K_T], soft counts
        counts += self.prior * one_hot.mean(axis=0)
        totals = counts.sum(axis=1, keepdims=True)
        return np.asarray(counts / np.where(totals > 0, totals, 1))
