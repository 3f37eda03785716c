"""One pass of a model over a split, without gradients: predictions, and what a teacher says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ctkd_cli.backbones._pooled import logits_and_features
from ctkd_cli.runtime import memory, parallel
from ctkd_cli.runtime.devices import autocast

if TYPE_CHECKING:
    from torch import nn

    from ctkd_cli.distillation.knowledge import Said
    from ctkd_cli.runtime.devices import Device
    from ctkd_cli.tasks.kinds.base import Encoded, Kind

ACCELERATED = 16  # times what a batch holds on a CPU, whose caches are small
PARTLY = 4  # a batch this part full may stay so, rather than be filled up with padding
FORGET = 50_000  # rows after which pages of mapped files are let go

Progress = Callable[[int, int], None]


def batches(
    model: nn.Module,
    kind: Kind,
    encoded: Encoded,
    preprocessor: Any,
    device: Device,
    on_batch: Progress = lambda done, total: None,
) -> Iterator[Said]:
    """Some rows of a split at a time: rows [n], logits [n, K] and pooled features [n, d], float32.

    Longest first, so that a batch holds examples of like length and memory peaks at the start.
    Several processes read a batch each, and all get all.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    planned = plan(encoded.lengths, kind.per_batch * (1 if on_cpu else ACCELERATED))
    was_training = model.training
    model.eval()
    done = unforgotten = 0
    try:
        for start in range(0, len(planned), parallel.world()):
            turn = planned[start : start + parallel.world()]
            mine = turn[parallel.rank()] if parallel.rank() < len(turn) else None
            said = None if mine is None else _said(model, kind, encoded, preprocessor, device, mine)
            yield from filter(None, parallel.gather(said))
            read = sum(map(len, turn))
            done, unforgotten = done + read, unforgotten + read
            on_batch(done, len(encoded.lengths))
            if unforgotten >= FORGET:
                memory.forget_pages()
                unforgotten = 0
    finally:
        model.train(was_training)


def plan(lengths: np.ndarray, per_batch: int) -> list[np.ndarray]:
    """Rows of each batch, longest first: as many as hold at most `per_batch` units (tokens, pixels)
    when all are padded to the longest of them, but one at least. A batch that is a quarter full
    takes no row that would be padding by more than an eighth."""
    order = np.argsort(-lengths, kind="stable")
    planned, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        fits = order[start : start + max(1, per_batch // longest)]
        alike = int((8 * lengths[fits] >= 7 * longest).sum())
        planned.append(fits[: max(alike, per_batch // longest // PARTLY, 1)])
        start += len(planned[-1])
    return planned


def _said(
    model: nn.Module,
    kind: Kind,
    encoded: Encoded,
    preprocessor: Any,
    device: Device,
    rows: np.ndarray,
) -> Said:
    """What a model says of one batch."""
    where = next(model.parameters()).device
    inputs = kind.collate([encoded.rows[row] for row in rows], preprocessor)
    inputs = {name: tensor.to(where) for name, tensor in inputs.items()}
    with torch.inference_mode(), autocast(device, where):
        logits, features = logits_and_features(model, inputs)
    return rows, logits.float().cpu().numpy(), features.float().cpu().numpy()


def read(
    model: nn.Module, kind: Kind, encoded: Encoded, preprocessor: Any, device: Device
) -> np.ndarray:
    """Logits [N, K], float32, in the order of the split."""
    found: np.ndarray | None = None
    for rows, logits, _ in batches(model, kind, encoded, preprocessor, device):
        if found is None:
            found = np.empty((len(encoded.rows), logits.shape[1]), np.float32)
        found[rows] = logits
    if found is None:
        raise ValueError("an empty split has nothing to read")
    return found
