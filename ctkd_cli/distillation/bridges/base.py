"""A label map and what a bridge may look at to make one."""

from __future__ import annotations

import hashlib
import io
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ctkd_cli.runs.spreadsheet import inert, write
from ctkd_cli.settings.component import Component


@dataclass(frozen=True)
class LabelMap:
    """W: [K_S, K_T], P(target label given source label). A row sums to 1, or is all 0 when the
    source label is unmapped."""

    source_labels: tuple[str, ...]
    target_labels: tuple[str, ...]
    weights: np.ndarray

    def __post_init__(self) -> None:
        totals = self.weights.sum(axis=1)
        if not np.all(np.isclose(totals, 1, atol=1e-6) | (totals == 0)):
            raise ValueError(f"rows of a label map must sum to 1 or be 0, got sums {totals}")

    @property
    def mapped(self) -> np.ndarray:
        """[K_S] bool: the source labels that lead anywhere."""
        return np.asarray(self.weights.sum(axis=1) > 0)

    def apply(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Teacher probabilities [N, K_S] -> (q [N, K_T], mass [N]).

        Mass on unmapped labels is dropped: q is renormalised over the rest and `mass` says how
        much that was. A row with no mapped mass at all gets a uniform q and mass 0.
        """
        mapped_mass = probabilities[:, self.mapped].sum(axis=1)
        joint = probabilities @ self.weights  # [N, K_T], sums to mapped_mass
        uniform = np.full_like(joint, 1 / joint.shape[1])
        totals = joint.sum(axis=1, keepdims=True)
        q = np.where(totals > 0, joint / np.where(totals > 0, totals, 1), uniform)
        return q, mapped_mass

    @property
    def unmapped(self) -> list[str]:
        """Source labels that lead nowhere."""
        pairs = zip(self.source_labels, self.mapped, strict=True)
        return [label for label, there in pairs if not there]

    @property
    def unreached(self) -> list[str]:
        """Target labels that no source label leads to: the teacher knows nothing of them."""
        reached = self.weights.sum(axis=0) > 0
        pairs = zip(self.target_labels, reached, strict=True)
        return [label for label, there in pairs if not there]

    @property
    def coverage(self) -> float:
        """Share of source labels that are mapped."""
        return float(self.mapped.mean())

    @property
    def entropy(self) -> np.ndarray:
        """[K_S] nats: how undecided each row is."""
        logs = np.log(np.where(self.weights > 0, self.weights, 1))
        return -np.asarray((self.weights * logs).sum(axis=1))

    def to_csv(self) -> str:
        """Rows: source labels; columns: target labels and `mapped`. No label is a formula there."""
        text = io.StringIO()
        rows = zip(self.source_labels, self.weights, self.mapped, strict=True)
        write(text, [["source", *map(inert, self.target_labels), "mapped"]])
        write(
            text,
            (
                [inert(label), *(f"{w:.6f}" for w in row), str(bool(there)).lower()]
                for label, row, there in rows
            ),
        )
        return text.getvalue()

    def hash(self) -> str:
        """Identifies the map: its labels and weights."""
        digest = hashlib.sha256(repr((self.source_labels, self.target_labels)).encode())
        digest.update(np.ascontiguousarray(self.weights, np.float64).tobytes())
        return digest.hexdigest()


def stacked(label_maps: Mapping[str, LabelMap]) -> LabelMap:
    """The maps of several sources as one, its source labels named SOURCE: LABEL; a single map as
    it is."""
    if len(label_maps) == 1:
        return next(iter(label_maps.values()))
    return LabelMap(
        tuple(f"{name}: {label}" for name, m in label_maps.items() for label in m.source_labels),
        next(iter(label_maps.values())).target_labels,
        np.concatenate([m.weights for m in label_maps.values()]),
    )


class Bridge(Component):
    """A way to make a label map. Its fields are its settings."""

    package: ClassVar[str] = "distillation.bridges"
    name: str = ""
    learned: ClassVar[bool] = False  # needs teacher probabilities on labelled target examples

    def preview(
        self, source_labels: Sequence[str], target_labels: Sequence[str]
    ) -> LabelMap | None:
        """What can be known before any teacher has spoken. Raises InputError as `fit` does."""
        return None if self.learned else self.fit(source_labels, target_labels)

    @abstractmethod
    def fit(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray | None = None,
        gold: np.ndarray | None = None,
    ) -> LabelMap:
        """The map. A learned bridge also reads the teacher's probabilities [n, K_S] on labelled
        target train and their gold labels [n]; others ignore them.

        Raises InputError when the labels cannot be bridged this way.
        """


class LearnedBridge(Bridge):
    """A bridge that needs to hear a teacher on labelled target examples."""

    learned: ClassVar[bool] = True

    def fit(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray | None = None,
        gold: np.ndarray | None = None,
    ) -> LabelMap:
        if probabilities is None or gold is None:
            raise ValueError(f"bridge={self.name} learns from labelled examples and got none")
        one_hot = np.eye(len(target_labels))[gold]
        weights = self.learn(
            source_labels, target_labels, probabilities.astype(np.float64), one_hot
        )
        return LabelMap(tuple(source_labels), tuple(target_labels), weights)

    @abstractmethod
    def learn(
        self,
        source_labels: Sequence[str],
        target_labels: Sequence[str],
        probabilities: np.ndarray,
        one_hot: np.ndarray,
    ) -> np.ndarray:
        """W [K_S, K_T]. probabilities: the teacher's, [n, K_S]; one_hot: gold labels, [n, K_T]."""
