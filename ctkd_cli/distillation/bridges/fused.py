from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ctkd_cli.distillation.bridges._by_name import namesakes
from ctkd_cli.distillation.bridges._label_graph import LabelGraph
from ctkd_cli.distillation.bridges.base import LabelMap, LearnedBridge
from ctkd_cli.distillation.bridges.manual import Manual, Weight
from ctkd_cli.distillation.bridges.names import fold_name


class Fused(LearnedBridge):
    """What is known beforehand, corrected by the labelled target examples:

        W[z, y] = (N[z, y] + alpha W0[z, y]) / (N[z] + alpha)

    N: soft counts of the teacher on labelled target train, as in bridge=leep. W0, for each source
    label the first that says anything: `map`, a target label of the same name, the label graph
    `path`; else the target labels as common as they are in the data.
    """

    alpha: float = Field(1.0, gt=0, description="how many examples W0 is worth, per source label")
    map: dict[str, str | dict[str, Weight]] = Field({}, description="as in bridge=manual")
    path: str | None = Field(None, description="as in bridge=graph")
    restart: float = Field(0.2, gt=0, lt=1, description="as in bridge=graph")

    def learn(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray,
        one_hot: np.ndarray,
    ) -> np.ndarray:
        counts = probabilities.T @ one_hot  # [K_S, K_T]
        before = self.before(source_labels, target_labels)
        unknown = before.sum(axis=1) == 0
        before[unknown] = one_hot.mean(axis=0)
        weights = counts + self.alpha * before
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def preview(
        self, source_labels: Sequence[str], target_labels: Sequence[str]
    ) -> LabelMap | None:
        before = self.before(source_labels, target_labels)
        return LabelMap(tuple(source_labels), tuple(target_labels), before)

    def before(self, source_labels: Sequence[str], target_labels: Sequence[str]) -> np.ndarray:
        """W0 [K_S, K_T]; a row is 0 where nothing is known of a source label.

        Raises InputError when `map` or `path` cannot be used.
        """
        known = np.zeros((len(source_labels), len(target_labels)))
        sources = [namesakes(source_labels, target_labels, fold_name)]
        if self.map:
            by_hand = Manual(name="manual", map=self.map)
            sources.insert(0, by_hand.fit(source_labels, target_labels).weights)
        if self.path is not None:
            graph = LabelGraph.read(self.path, where=f"{self.role or 'bridge'}.path")
            sources.append(graph.walk(source_labels, target_labels, self.restart))
        for weights in sources:
            silent = known.sum(axis=1) == 0
            known[silent] = weights[silent]
        return known
