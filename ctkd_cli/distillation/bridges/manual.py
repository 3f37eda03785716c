from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from ctkd_cli.distillation.bridges.base import Bridge, LabelMap
from ctkd_cli.errors import InputError, Problem, nearest

Weight = Annotated[float, Field(gt=0)]


class Manual(Bridge):
    """A map written by hand: `map: {sport: sport, tech: {business: 0.7, politics: 0.3}}`.

    Weights of a row are normalised; source labels that are left out are unmapped.
    """

    map: dict[str, str | dict[str, Weight]] = Field(min_length=1)

    def fit(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray | None = None,
        gold: np.ndarray | None = None,
    ) -> LabelMap:
        rows = {
            source: target if isinstance(target, dict) else {target: 1.0}
            for source, target in self.map.items()
        }
        problems = [
            _unknown(f"bridge.map.{label}", label, source_labels, "source")
            for label in rows
            if label not in source_labels
        ] + [
            _unknown(f"bridge.map.{source}", label, target_labels, "target")
            for source, row in rows.items()
            for label in row
            if label not in target_labels
        ]
        if problems:
            raise InputError(*problems)
        weights = np.array(
            [[rows.get(s, {}).get(t, 0.0) for t in target_labels] for s in source_labels]
        )
        totals = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(totals > 0, totals, 1)
        return LabelMap(tuple(source_labels), tuple(target_labels), weights)


def _unknown(where: str, label: str, labels: Sequence[str], task: str) -> Problem:
    return Problem(
        f"the {task} task has no such label",
        where=where,
        got=repr(label),
        allowed=", ".join(labels),
        nearest=nearest(label, labels),
    )
