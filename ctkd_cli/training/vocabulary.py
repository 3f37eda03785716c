"""Train the rows of a word embedding that occur, and no others.

An optimiser goes over every row of an embedding at every step, and a clipped norm over every
gradient, though a few thousand tokens occur in a task and most models know 30,000 to 250,000. Rows
that never occur have no gradient: leaving them out changes nothing but their weight decay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

WORTH_IT = 0.5  # share of the rows: with more of them in use, nothing is gained


class _Rows(nn.Module):
    """An embedding of which only some rows can be asked for."""

    index: Tensor

    def __init__(self, whole: nn.Embedding, rows: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(whole.weight.detach()[rows].clone())
        index = torch.full((whole.num_embeddings,), len(rows), device=rows.device)  # out of range
        index[rows] = torch.arange(len(rows), device=rows.device)
        self.register_buffer("index", index, persistent=False)
        padding = whole.padding_idx
        self.padding = int(index[padding]) if padding is not None and padding in rows else None

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.embedding(self.index[tokens], self.weight, self.padding)


@contextmanager
def restricted(model: PreTrainedModel, tokens: np.ndarray | None) -> Iterator[None]:
    """While this lasts the model knows these tokens only; its other rows come back unchanged.

    tokens: ids that occur, None where inputs are no tokens. Embeddings that do more than look up
    are left alone.
    """
    whole = None if tokens is None else model.get_input_embeddings()
    if tokens is None or type(whole) is not nn.Embedding or not whole.weight.requires_grad:
        yield
        return
    plain = whole.max_norm is None and not whole.scale_grad_by_freq and not whole.sparse
    if not plain or len(tokens) > WORTH_IT * whole.num_embeddings:
        yield
        return
    rows = torch.from_numpy(tokens).to(whole.weight.device)
    some = _Rows(whole, rows)
    model.set_input_embeddings(some)
    try:
        yield
    finally:
        with torch.no_grad():
            whole.weight[rows] = some.weight
        model.set_input_embeddings(whole)
