from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ctkd_cli.distillation.bridges.base import LearnedBridge
from ctkd_cli.runtime.lazy import special

ITERATIONS = 2_000
TOLERANCE = 1e-10


class Ot(LearnedBridge):
    """Learned by optimal transport: the teacher's mass on source labels is moved to the target
    labels at the least cost, each target label getting its share of the examples.

    The cost of z to y is -log of the teacher's mean probability of z on labelled examples of y.
    With regularisation 1 the plan is LEEP's joint distribution; the lower, the more it becomes an
    assignment, and no target label can be forgotten for another that is like it.

    Source: Cuturi, Sinkhorn Distances, NeurIPS 2013 (arXiv 1306.0895).
    """

    regularisation: float = Field(0.5, gt=0, le=1)

    def learn(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray,
        one_hot: np.ndarray,
    ) -> np.ndarray:
        probabilities = np.maximum(probabilities, 1e-12)
        share = one_hot.mean(axis=0)  # [K_T]
        present = share > 0
        given = probabilities.T @ one_hot[:, present] / one_hot[:, present].sum(axis=0)
        source_share = probabilities.mean(axis=0)
        plan = sinkhorn(
            -np.log(given), source_share / source_share.sum(), share[present], self.regularisation
        )
        weights = np.zeros((len(source_labels), len(target_labels)))
        weights[:, present] = plan / plan.sum(axis=1, keepdims=True)
        return weights


def sinkhorn(
    cost: np.ndarray, rows: np.ndarray, columns: np.ndarray, regularisation: float
) -> np.ndarray:
    """The plan [n, m] with the given marginals that minimises <plan, cost> - regularisation *
    entropy(plan). Marginals are positive and sum to 1."""
    kernel = -cost / regularisation
    log_rows, log_columns = np.log(rows), np.log(columns)
    potential = np.zeros(len(columns))
    for _ in range(ITERATIONS):
        other = log_rows - special.logsumexp(kernel + potential[None], axis=1)
        potential = log_columns - special.logsumexp(kernel + other[:, None], axis=0)
        plan = np.exp(kernel + other[:, None] + potential[None])
        if np.abs(plan.sum(axis=1) - rows).max() < TOLERANCE:
            break
    return np.asarray(plan)
