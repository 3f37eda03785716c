"""Maps between tags such as B-PER and I-PER: found between the types, and the prefixes follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctkd_cli.distillation.bridges.base import Bridge, LabelMap

Parts = Sequence[tuple[str, str]]  # of each label: its prefix, "" for none, and its type


@dataclass(frozen=True)
class ByType:
    """A bridge between the types of labels. `O` is a type like others: what is nothing to the
    source may be something to the target. source, target: the parts of their labels."""

    bridge: Bridge
    source: Parts
    target: Parts

    @property
    def learned(self) -> bool:
        return self.bridge.learned

    def preview(
        self, source_labels: Sequence[str], target_labels: Sequence[str]
    ) -> LabelMap | None:
        """As the bridge's own."""
        found = self.bridge.preview(_types(self.source), _types(self.target))
        return found and self._expanded(found, source_labels, target_labels, None)

    def fit(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray | None = None,
        gold: np.ndarray | None = None,
    ) -> LabelMap:
        """As the bridge's own: it sees what the labels of a type have together."""
        types, of_types = _types(self.source), None
        if probabilities is not None:
            members = [[kind == each for _, kind in self.source] for each in types]
            of_types = probabilities @ np.array(members, probabilities.dtype).T
        named = _types(self.target)
        places = np.array([named.index(kind) for _, kind in self.target])
        known = None if gold is None else places[gold]
        found = self.bridge.fit(types, named, of_types, known)
        return self._expanded(found, source_labels, target_labels, gold)

    def _expanded(
        self,
        found: LabelMap,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        gold: np.ndarray | None,
    ) -> LabelMap:
        """Begin leads to begin and inside to inside. Where a prefix has no counterpart, as from O
        to an entity, the labels of the type share in proportion to their gold positions."""
        counts = np.ones(len(self.target))
        if gold is not None:
            counts = counts + np.bincount(gold, minlength=len(self.target))
        rows = {kind: row for row, kind in enumerate(found.source_labels)}
        columns = {kind: column for column, kind in enumerate(found.target_labels)}
        weights = np.zeros((len(self.source), len(self.target)))
        for row, (prefix, kind) in enumerate(self.source):
            for other, column in columns.items():
                members = [k for k, (_, each) in enumerate(self.target) if each == other]
                same = [k for k in members if self.target[k][0] == prefix]
                chosen = same or members
                shares = counts[chosen] / counts[chosen].sum()
                weights[row, chosen] = found.weights[rows[kind], column] * shares
        return LabelMap(tuple(source_labels), tuple(target_labels), weights)


def by_type(bridge: Bridge, source: Parts, target: Parts) -> Bridge | ByType:
    """The bridge itself where no label has a prefix."""
    prefixed = any(prefix for prefix, _ in (*source, *target))
    return ByType(bridge, source, target) if prefixed else bridge


def _types(parts: Parts) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kind for _, kind in parts))
