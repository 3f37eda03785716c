"""One pass of a model over a split, without gradients: predictions, and what a teacher says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ctkd_cli.runtime import memory, parallel
from ctkd_cli.runtime.devices import autocast
from ctkd_cli.tasks.positions import spread

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.runtime.devices import Device
    from ctkd_cli.tasks.kinds.base import Encoded, Kind

ACCELERATED = 16  # times what a batch holds on a CPU, whose caches are small
PARTLY = 4  # a batch this part full may stay so, rather than be filled up with padding
FORGET = 50_000  # examples after which pages of mapped files are let go

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadedModel:
    """A model with what reads for it: the kind of task, and a preprocessor of its own."""

    model: PreTrainedModel
    backbone: Backbone
    preprocessor: Any
    kind: Kind
    device: Device

    @property
    def where(self) -> torch.device:
        found: torch.device = next(self.model.parameters()).device
        return found


@dataclass(frozen=True)
class Read:
    """What a model says of some examples, float32. examples: [n], rows of the split. positions:
    [S], flat places among all that it reads of the split (Encoded.offsets). logits: [S, K].
    features: [S, d], None for a model that has none."""

    examples: np.ndarray
    positions: np.ndarray
    logits: np.ndarray
    features: np.ndarray | None


def batches(
    loaded: LoadedModel,
    encoded: Encoded,
    on_batch: Progress = lambda done, total: None,
) -> Iterator[Read]:
    """Some examples of a split at a time.

    Longest first, so that a batch holds examples of like length and memory peaks at the start.
    Several processes read a batch each, and all get all.
    """
    model = loaded.model
    per_batch = loaded.kind.per_batch * (1 if loaded.where.type == "cpu" else ACCELERATED)
    planned = plan(encoded.lengths, per_batch)
    was_training = model.training
    model.eval()
    done = unforgotten = 0
    try:
        for start in range(0, len(planned), parallel.world()):
            turn = planned[start : start + parallel.world()]
            mine = turn[parallel.rank()] if parallel.rank() < len(turn) else None
            said = None if mine is None else _said(loaded, encoded, mine)
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


def _said(loaded: LoadedModel, encoded: Encoded, rows: np.ndarray) -> Read:
    """What a model says of one batch."""
    batch = loaded.kind.collate([encoded.rows[row] for row in rows], loaded.preprocessor)
    with torch.inference_mode(), autocast(loaded.device, loaded.where):
        outputs = loaded.backbone.forward(loaded.model, batch.to(loaded.where))
    return Read(
        examples=rows,
        positions=rows if encoded.offsets is None else spread(encoded.offsets, rows)[0],
        logits=outputs.logits.float().cpu().numpy(),
        features=None if outputs.features is None else outputs.features.float().cpu().numpy(),
    )


def read(loaded: LoadedModel, encoded: Encoded, offsets: np.ndarray | None = None) -> np.ndarray:
    """Logits [S, K], float32, in the order of the split. offsets: [N + 1], of the positions that
    its examples have (Labels.offsets), None: one each; what the model does not see of them is 0."""
    found: np.ndarray | None = None
    for some in batches(loaded, encoded):
        if found is None:
            n = len(encoded.rows) if offsets is None else int(offsets[-1])
            found = np.zeros((n, some.logits.shape[1]), np.float32)
        places = some.positions
        if offsets is not None:
            assert encoded.offsets is not None
            assert encoded.numbers is not None
            counts = np.diff(encoded.offsets)[some.examples]
            places = np.repeat(offsets[some.examples], counts) + encoded.numbers[some.positions]
        found[places] = some.logits
    if found is None:
        raise ValueError("an empty split has nothing to read")
    return found


def positions_of(encoded: Encoded, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions that a model reads of some examples: the example of each [S], and which place
    of it each is [S]."""
    if encoded.offsets is None or encoded.numbers is None:
        return rows, np.zeros(len(rows), np.int64)
    places, offsets = spread(encoded.offsets, rows)
    return np.repeat(rows, np.diff(offsets)), np.asarray(encoded.numbers[places], np.int64)
