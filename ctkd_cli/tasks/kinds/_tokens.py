"""What kinds that a tokenizer reads have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ctkd_cli.runtime.lazy import torch
from ctkd_cli.tasks.kinds.base import Row

if TYPE_CHECKING:
    from torch import Tensor

    from ctkd_cli.tasks.kinds._ragged import Ragged


def padded(rows: Sequence[Row], preprocessor: Any, side: str) -> dict[str, Tensor]:
    """Token ids and their like, [B, T], padded to the longest row at a side, left or right. An
    empty text is no token to some tokenizers: one of padding stands for it."""
    longest = max(1, *(len(next(iter(row.values()))) for row in rows))
    fill = {
        "input_ids": preprocessor.pad_token_id,
        "token_type_ids": preprocessor.pad_token_type_id,
    }
    found = {name: np.full((len(rows), longest), fill.get(name, 0), np.int64) for name in rows[0]}
    for name, batch in found.items():
        for line, row in zip(batch, rows, strict=True):
            values = row[name]
            if side == "left":
                line[longest - len(values) :] = values
            else:
                line[: len(values)] = values
    return {name: torch.from_numpy(batch) for name, batch in found.items()}


def used(tokens: Ragged, preprocessor: Any) -> np.ndarray:
    """The ids that batches of some tokens can hold, sorted."""
    return np.union1d(tokens.values("input_ids"), [preprocessor.pad_token_id])


def identity(tokenizer: Any) -> str:
    """Hash of all that decides a tokenizer's tokens."""
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()  # left by a call before; each call sets its own
        tokenizer.backend_tokenizer.no_padding()
        text = f"{tokenizer.split_special_tokens} {tokenizer.backend_tokenizer.to_str()}"
    else:
        text = json.dumps([type(tokenizer).__name__, tokenizer.get_vocab(), repr(tokenizer)])
    return hashlib.sha256(text.encode()).hexdigest()
