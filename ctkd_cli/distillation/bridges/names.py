from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ctkd_cli.distillation.bridges._by_name import by_name
from ctkd_cli.distillation.bridges.base import Bridge, LabelMap


class Names(Bridge):
    """Labels with the same name once case, punctuation and the plural are folded."""

    def fit(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray | None = None,
        gold: np.ndarray | None = None,
    ) -> LabelMap:
        return by_name(source_labels, target_labels, fold_name, "names")


def fold_name(label: str) -> str:
    """`Sci/Tech` -> `sci tech`, `Sports` -> `sport`, `Categories` -> `category`."""
    words = re.findall(r"\w+", label.casefold().replace("_", " "))
    return " ".join(_singular(word) for word in words)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
