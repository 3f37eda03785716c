"""What it costs to use a model: size, latency and throughput, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ctkd_cli.runtime.devices import autocast

if TYPE_CHECKING:
    from torch import nn

    from ctkd_cli.runtime.devices import Device
    from ctkd_cli.tasks.kinds.base import Encoded, Kind

REPEATS = 7  # of each measurement; the median is kept
BATCH = 32
WARM_UP = 2


@dataclass(frozen=True)
class Candidate:
    """A model to measure, with examples as it reads them. folder: where its weights lie."""

    model: nn.Module
    encoded: Encoded
    preprocessor: Any
    folder: Path


@dataclass(frozen=True)
class Efficiency:
    """parameters: a count. megabytes: weights on disk, 1e6 bytes. latency: of one example, in
    milliseconds. throughput: examples per second in batches of BATCH. Model only, inputs encoded
    already."""

    parameters: int
    megabytes: float
    latency: float
    throughput: float


def side_by_side(
    candidates: Mapping[str, Candidate], kind: Kind, device: Device
) -> dict[str, Efficiency]:
    """Measure models in turns, so that whatever else the machine does slows all alike; medians.

    Each candidate reads the same examples: a single one of the median size, and a batch of the
    sizes around it.
    """
    took: dict[tuple[str, int], list[float]] = {}
    inputs = {
        (name, size): _inputs(candidate, kind, size)
        for name, candidate in candidates.items()
        for size in (1, BATCH)
    }
    for name, candidate in candidates.items():
        candidate.model.eval()
        for _ in range(WARM_UP):
            _seconds(candidate.model, inputs[name, 1], device)
    for _ in range(REPEATS):
        for (name, size), batch in inputs.items():
            seconds = _seconds(candidates[name].model, batch, device)
            took.setdefault((name, size), []).append(seconds)
    return {
        name: Efficiency(
            parameters=sum(p.numel() for p in candidate.model.parameters()),
            megabytes=sum(f.stat().st_size for f in candidate.folder.glob("*.safetensors")) / 1e6,
            latency=1e3 * float(np.median(took[name, 1])),
            throughput=_rows(inputs[name, BATCH]) / float(np.median(took[name, BATCH])),
        )
        for name, candidate in candidates.items()
    }


def _inputs(candidate: Candidate, kind: Kind, size: int) -> dict[str, torch.Tensor]:
    """A batch of at most `size` examples, the ones closest to the median in length."""
    encoded = candidate.encoded
    order = np.argsort(np.asarray(encoded.lengths), kind="stable")
    start = max(0, (len(order) - size) // 2)
    rows = [encoded.rows[row] for row in order[start : start + size]]
    where = next(candidate.model.parameters()).device
    batch = kind.collate(rows, candidate.preprocessor)
    return {name: tensor.to(where) for name, tensor in batch.items()}


def _rows(batch: Mapping[str, torch.Tensor]) -> int:
    return len(next(iter(batch.values())))


def _seconds(model: nn.Module, batch: Mapping[str, torch.Tensor], device: Device) -> float:
    where = next(model.parameters()).device
    with torch.inference_mode(), autocast(device, where):
        _finish(where)
        began = time.perf_counter()
        model(**batch)
        _finish(where)
        return time.perf_counter() - began


def _finish(where: torch.device) -> None:
    """Wait for a device that works in the background."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    elif where.type == "mps":
        torch.mps.synchronize()
