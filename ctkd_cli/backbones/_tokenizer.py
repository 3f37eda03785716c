"""A model's tokenizer, so that every text is a text and none is longer than the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ctkd_cli.runtime.lazy import torch, transformers


def load(folder: Path) -> Any:
    """The tokenizer that lies in a folder. What looks like one of its control tokens in a text
    (`</s>`, `[PAD]`) is read as the characters that it is, and the model lying there decides the
    side of its padding. Raises what transformers raises."""
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, split_special_tokens=True, padding_side=_side(config)
    )
    if tokenizer.pad_token is None:  # GPT-2 and its kin
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _side(config: Any) -> str:
    """Right, whatever side a tokenizer names: models that count positions from the left would read
    a text another way beside a longer one. XLNet answers at the last place, padded or not."""
    return "left" if getattr(config, "summary_type", None) == "last" else "right"


def positions(config: Any) -> int | None:
    """The tokens that a model of this configuration has positions for; None where it counts
    them otherwise (relative positions, rotations). Builds the model without its numbers."""
    config = getattr(config, "body_config", config)
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, trust_remote_code=False)
    embedded = [
        _places(module, weight)
        for name, module in model.named_modules()
        if _is_of_positions(name)
        and isinstance(weight := getattr(module, "weight", None), torch.Tensor)
        and weight.dim() == 2
    ]
    waves = [len(t) for name, t in model.named_buffers() if _is_of_positions(name) and t.dim() == 2]
    return min([*embedded, *waves], default=None)


def _is_of_positions(name: str) -> bool:
    own = name.rpartition(".")[2]
    if own in ("wpe", "pos_encoding"):
        return True
    return "position" in own and not any(w in own for w in ("ids", "relative", "rel_", "bias"))


def _places(embedding: Any, weight: Any) -> int:
    """RoBERTa and its kin begin to count after the number of the padding token; BART and its kin
    have rows more than they count."""
    first = getattr(embedding, "offset", 0)
    if getattr(embedding, "padding_idx", None) is not None and not first:
        first = embedding.padding_idx + 1
    return int(len(weight) - first)
