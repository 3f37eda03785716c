"""A model's tokenizer, so that every text is a text and none is longer than the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ctkd_cli.runtime.lazy import torch, transformers


def load(folder: Path) -> Any:
    """The tokenizer that lies in a folder. What looks like one of its control tokens in a text
    (`</s>`, `[PAD]`) is read as the characters that it is. Raises what transformers raises."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, split_special_tokens=True
    )
    if tokenizer.pad_token is None:  # GPT-2 and its kin
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def positions(config: Any) -> int | None:
    """The tokens that a classifier of this configuration has positions for; None where it counts
    them otherwise (relative positions, rotations). Builds the model without its numbers."""
    with torch.device("meta"):
        model = transformers.AutoModelForSequenceClassification.from_config(
            config, trust_remote_code=False
        )
    places = [
        _places(module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) and _is_of_positions(name)
    ]
    return min(places, default=None)


def _is_of_positions(name: str) -> bool:
    own = name.rpartition(".")[2]
    return own == "wpe" or ("position" in own and "relative" not in own and "rel_" not in own)


def _places(embedding: Any) -> int:
    """RoBERTa and its kin begin to count after the number of the padding token; BART and its kin
    have rows more than they count."""
    first = getattr(embedding, "offset", 0)
    if embedding.padding_idx is not None and not first:
        first = embedding.padding_idx + 1
    return int(embedding.num_embeddings - first)
