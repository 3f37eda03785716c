"""What it costs to use a model: size, latency and throughput, measured side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ctkd_cli.runtime.devices import autocast

if TYPE_CHECKING:
    from ctkd_cli.tasks.kinds.base import Batch, Encoded
    from ctkd_cli.training.inference import LoadedModel

REPEATS = 7  # of each measurement; the median is kept
BATCH = 32
WARM_UP = 2


@dataclass(frozen=True)
class Candidate:
    """A model to measure, with examples as it reads them. folder: where its weights lie."""

    loaded: LoadedModel
    encoded: Encoded
    folder: Path


@dataclass(frozen=True)
class Efficiency:
    """parameters: a count. megabytes: weights on disk, 1e6 bytes. latency: of one example, in
    milliseconds. throughput: examples per second in batches of BATCH. Model only, inputs encoded
    already. load: the machine's load average over the minute before, our own work included; None
    where the system has none."""

    parameters: int
    megabytes: float
    latency: float
    throughput: float
    load: float | None


def side_by_side(candidates: Mapping[str, Candidate]) -> dict[str, Efficiency]:
    """Measure models in turns, so that whatever else the machine does slows all alike; medians.

    Each candidate reads the same examples: a single one of the median size, and a batch of the
    sizes around it.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    took: dict[tuple[str, int], list[float]] = {}
    inputs = {
        (name, size): _batch(candidate, size)
        for name, candidate in candidates.items()
        for size in (1, BATCH)
    }
    for name, candidate in candidates.items():
        candidate.loaded.model.eval()
        for _ in range(WARM_UP):
            _seconds(candidate.loaded, inputs[name, 1])
    for _ in range(REPEATS):
        for (name, size), batch in inputs.items():
            seconds = _seconds(candidates[name].loaded, batch)
            took.setdefault((name, size), []).append(seconds)
    return {
        name: Efficiency(
            parameters=sum(p.numel() for p in candidate.loaded.model.parameters()),
            megabytes=sum(f.stat().st_size for f in candidate.folder.glob("*.safetensors")) / 1e6,
            latency=1e3 * float(np.median(took[name, 1])),
            throughput=min(BATCH, len(candidate.encoded.rows))
            / float(np.median(took[name, BATCH])),
            load=load,
        )
        for name, candidate in candidates.items()
    }


def _size(candidate: Candidate) -> int:
    """Examples in a batch."""
    return min(BATCH, len(candidate.encoded.rows))


def _batch(candidate: Candidate, size: int) -> Batch:
    """At most `size` examples, the ones closest to the median in length."""
    encoded, loaded = candidate.encoded, candidate.loaded
    order = np.argsort(np.asarray(encoded.lengths), kind="stable")
    start = max(0, (len(order) - size) // 2)
    rows = [encoded.rows[row] for row in order[start : start + size]]
    return loaded.kind.collate(rows, loaded.preprocessor).to(loaded.where)


def _seconds(loaded: LoadedModel, batch: Batch) -> float:
    with torch.inference_mode(), autocast(loaded.device, loaded.where):
        _finish(loaded.where)
        began = time.perf_counter()
        loaded.model(**batch.inputs)
        _finish(loaded.where)
        return time.perf_counter() - began


def _finish(where: torch.device) -> None:
    """Wait for a device that works in the background."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    elif where.type == "mps":
        torch.mps.synchronize()
