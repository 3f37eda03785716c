from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ctkd_cli.distillation.bridges._label_graph import LabelGraph
from ctkd_cli.distillation.bridges.base import Bridge, LabelMap


class Graph(Bridge):
    """From a graph of labels: a random walk from a source label, and where it comes to rest among
    the target labels (personalised PageRank).

    Source: Page et al. 1999; personalised: Haveliwala, WWW 2002.
    """

    path: str = Field(
        description="a TSV or JSON file of head, relation, tail, weight; or a graph that comes "
        "with ctkd: news_topics, sentiment"
    )
    restart: float = Field(0.2, gt=0, lt=1, description="how often the walk starts anew")

    def fit(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray | None = None,
        gold: np.ndarray | None = None,
    ) -> LabelMap:
        graph = LabelGraph.read(self.path, where=f"{self.role or 'bridge'}.path")
        weights = graph.walk(source_labels, target_labels, self.restart)
        if not weights.any():
            raise graph.leads_nowhere(source_labels, target_labels)
        return LabelMap(tuple(source_labels), tuple(target_labels), weights)
