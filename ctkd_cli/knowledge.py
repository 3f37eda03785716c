"""What the teacher said about the target inputs: asked once, kept by content, joined by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Knowledge:
    """What a teacher said. logits: [N, K_S] float32. features: [N, d_T] float32. head_weight:
    [K_S, d_T], head_bias: [K_S]. ids: of the N examples, in an order that no reader may rely on.
    """

    ids: Sequence[str]
    logits: np.ndarray
    features: np.ndarray
    head_weight: np.ndarray
    head_bias: np.ndarray

    def positions(self, ids: Sequence[str]) -> np.ndarray:
        """Where these examples stand. KeyError when one is not there."""
        position = {name: row for row, name in enumerate(self.ids)}
        return np.array([position[name] for name in ids], dtype=np.int64)


ARRAYS = ("logits", "features", "head_weight", "head_bias")


def read(folder: Path) -> Knowledge:
    """A store on disk; its arrays are memory-mapped."""
    ids: list[str] = pq.read_table(folder / "ids.parquet")["id"].to_pylist()
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return Knowledge(ids, **arrays)


def write(folder: Path, said: Knowledge) -> None:
    """Write a store's files into an empty folder."""
    pq.write_table(pa.table({"id": list(said.ids)}), folder / "ids.parquet")
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(said, name))
