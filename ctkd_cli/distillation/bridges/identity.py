from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctkd_cli.distillation.bridges._by_name import by_name
from ctkd_cli.distillation.bridges.base import Bridge, LabelMap


class Identity(Bridge):
    """Each source label means the target label with exactly the same name."""

    def fit(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray | None = None,
        gold: np.ndarray | None = None,
    ) -> LabelMap:
        return by_name(source_labels, target_labels, str, "identity")
