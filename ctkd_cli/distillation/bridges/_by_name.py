"""Maps that follow from names alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ctkd_cli.distillation.bridges.base import LabelMap
from ctkd_cli.errors import InputError, Problem


def by_name(
    source_labels: Sequence[str],
    target_labels: Sequence[str],
    fold: Callable[[str], str],
    bridge: str,
) -> LabelMap:
    """Map each source label to the target labels whose folded names equal its own.

    Raises InputError when no label has a namesake.
    """
    weights = namesakes(source_labels, target_labels, fold)
    if not weights.any():
        raise InputError(
            Problem(
                f"bridge={bridge} finds no target label with the name of a source label",
                where="bridge",
                got=f"source {list(source_labels)}, target {list(target_labels)}",
                remedy="bridge=leep or fused, which learn the map, or bridge=manual",
            )
        )
    return LabelMap(tuple(source_labels), tuple(target_labels), weights)


def namesakes(
    source_labels: Sequence[str], target_labels: Sequence[str], fold: Callable[[str], str]
) -> np.ndarray:
    """[K_S, K_T]: which folded names are equal; rows sum to 1, or are 0."""
    equal = [[float(fold(s) == fold(t)) for t in target_labels] for s in source_labels]
    weights = np.array(equal)
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1))
