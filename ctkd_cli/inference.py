"""One pass of a model over a split, without gradients: predictions, and what a teacher says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ctkd_cli.backbones._pooled import logits_and_features
from ctkd_cli.devices import autocast

if TYPE_CHECKING:
    from torch import nn

    from ctkd_cli.experiment import Device
    from ctkd_cli.tasks.base import Encoded, Kind

BATCH = 64


def read(
    model: nn.Module,
    kind: Kind,
    encoded: Encoded,
    preprocessor: Any,
    device: Device,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, K] and pooled features [N, d], float32, in the order of the split.

    Longest first, so that a batch holds examples of like length and memory peaks at the start.
    """
    order = np.argsort(-np.asarray(encoded.lengths), kind="stable")
    where = next(model.parameters()).device
    was_training = model.training
    model.eval()
    logits: np.ndarray | None = None
    features: np.ndarray | None = None
    with torch.inference_mode(), autocast(device, where):
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            inputs = kind.collate([encoded.rows[row] for row in rows], preprocessor)
            inputs = {name: tensor.to(where) for name, tensor in inputs.items()}
            batch_logits, batch_features = logits_and_features(model, inputs)
            if logits is None or features is None:
                logits = np.empty((len(order), batch_logits.shape[1]), np.float32)
                features = np.empty((len(order), batch_features.shape[1]), np.float32)
            logits[rows] = batch_logits.float().cpu().numpy()
            features[rows] = batch_features.float().cpu().numpy()
            on_batch(start + len(rows), len(order))
    model.train(was_training)
    if logits is None or features is None:
        raise ValueError("an empty split has nothing to read")
    return logits, features
