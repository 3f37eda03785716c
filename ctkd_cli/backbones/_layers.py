"""A model's layers: how many there are and what they cost, by config.json alone; a model cut to
some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ctkd_cli.backbones.base import ModelSize
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")  # of one stack
INNER_WIDTHS = ("intermediate_size", "n_inner", "hidden_dim", "d_ff", "d_inner", "encoder_ffn_dim",
                "ffn_dim", "dff")  # fmt: skip
PLACES = ("layer_idx", "layer_id", "layer_number")  # by which a layer finds its own cache
ENCODER, DECODER = ("encoder_layers", "num_layers"), ("decoder_layers", "num_decoder_layers")


def stacks(config: Mapping[str, Any]) -> dict[str, int]:
    """How many layers each stack of a model has. config: of config.json."""
    if blocks := config.get("block_sizes"):  # Funnel pools between them
        repeats = config.get("block_repeats") or [1] * len(blocks)
        return {f"block {n}": b * r for n, (b, r) in enumerate(zip(blocks, repeats, strict=True))}
    encoder, decoder, plain = (_first(config, names) for names in (ENCODER, DECODER, COUNTS))
    if decoder and (encoder or config.get("is_encoder_decoder")):
        return {"encoder": encoder or plain, "decoder": decoder}
    if config.get("is_encoder_decoder"):
        return {"encoder": encoder or plain, "decoder": encoder or plain}
    return {"": plain}


def size(config: Mapping[str, Any], stacks: Mapping[str, int]) -> ModelSize:
    """Parameters, and operations for each token, of a model with so many layers in each stack."""

    def read(*names: str, default: int = 0) -> int:
        return int(next((config[name] for name in names if config.get(name)), default))

    width = read("hidden_size", "n_embd", "dim", "d_model", "emb_dim")
    inner = read(*INNER_WIDTHS, default=4 * width)
    read_by = dict.fromkeys(stacks, 4 * width**2 + 2 * width * inner)
    if "decoder" in read_by:  # which attends to the encoder too
        read_by["decoder"] += 4 * width**2
    passed = sum(n_layers * read_by[name] for name, n_layers in stacks.items())
    groups = config.get("num_hidden_groups")  # of layers that share their weights
    held = read_by[""] * groups * config.get("inner_group_num", 1) if groups else passed
    places = read("vocab_size") + read("max_position_embeddings", "n_positions")
    embeddings = places * read("embedding_size", default=width)
    return ModelSize(embeddings + held, 2.0 * passed)


def why_uncut(config: Mapping[str, Any]) -> str:
    """Why the layers of a model cannot be chosen; "" when they can."""
    if "num_hidden_groups" in config:
        return "its layers share their weights"
    found = stacks(config)
    return f"it has {len(found)} stacks of layers, not one" if len(found) > 1 else ""


def cut(model: PreTrainedModel, keep: Sequence[int]) -> None:
    """Keep some layers of a model with one stack, in this order. Raises ValueError when it has none
    that can be told."""
    total = int(model.config.num_hidden_layers)
    parent, names = _stack(model, total)
    for name in names:
        layers: Any = getattr(parent, name)
        kept = torch.nn.ModuleList(layers[index] for index in keep)
        for position, layer in enumerate(kept):
            for module in layer.modules():
                for place in PLACES:
                    if hasattr(module, place):
                        setattr(module, place, position)
        setattr(parent, name, kept)
    for count in COUNTS:
        if getattr(parent, count, None) == total:
            setattr(parent, count, len(keep))
    config = model.config
    for key, value in list(vars(config).items()):  # a word on each layer
        if isinstance(value, list | tuple) and len(value) == total and key != "architectures":
            setattr(config, key, [value[index] for index in keep])
    if hasattr(config, "attention_types"):  # GPT-Neo's spelling of attention_layers
        config.attention_types = [[[each], 1] for each in config.attention_layers]
    config.num_hidden_layers = len(keep)


def _stack(model: PreTrainedModel, total: int) -> tuple[nn.Module, list[str]]:
    """The module that holds the layers, and the names of its lists: most have one, XLM has one for
    each part of a layer."""
    found: dict[str, list[str]] = {}
    outer: list[str] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in outer)
        if isinstance(module, torch.nn.ModuleList) and len(module) == total and not inside:
            outer.append(name)
            parent, _, own = name.rpartition(".")
            found.setdefault(parent, []).append(own)
    if len(found) != 1:
        raise ValueError(f"{len(found)} parts of {type(model).__name__} have {total} layers")
    ((parent, names),) = found.items()
    return model.get_submodule(parent), names


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int:
    return int(next((config[name] for name in names if config.get(name)), 0))


def chosen(asked: int | tuple[int, ...], total: int, role: str) -> tuple[int, ...]:
    """The indices of the layers that stay: those asked for or, of a number, evenly spread ones.
    Raises InputError where there are no such layers."""
    if isinstance(asked, int):
        spread = np.linspace(0, total - 1, asked) if asked > 1 else np.array([0])
        keep = tuple(int(index) for index in np.round(spread))
    else:
        keep = asked
    if not keep or max(keep) >= total or len(set(keep)) < len(keep):
        raise InputError(
            Problem(
                f"the model has {total} layers",
                where=f"{role}.layers",
                got=str(asked),
                allowed=f"different indices from 0 to {total - 1}, or a count up to {total}",
            )
        )
    return keep
