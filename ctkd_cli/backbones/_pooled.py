"""Logits and the pooled feature of any classifier, without code per model.

The pooled feature is the INPUT of the model's final linear layer, caught by a hook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def final_linear(model: PreTrainedModel) -> nn.Linear:
    """The layer that makes the logits: the last linear one with an output per label."""
    n_labels = model.config.num_labels
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    matching = [layer for layer in linears if layer.out_features == n_labels]
    if not matching:
        raise ValueError(f"{type(model).__name__} has no linear layer with {n_labels} outputs")
    return matching[-1]


def logits_and_features(model: PreTrainedModel, inputs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Run a classifier: logits [B, K] and pooled features [B, d].

    A causal model's head sees every position; its feature is pooled where its logits are, at the
    last real token.
    """
    caught: list[Tensor] = []
    hook = final_linear(model).register_forward_pre_hook(
        lambda _module, arguments: caught.append(arguments[0])
    )
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        hook.remove()
    features = caught[-1]
    if features.dim() == 3:  # [B, T, d]
        positions = torch.arange(features.shape[1], device=features.device)
        last = (inputs["attention_mask"] * positions).argmax(dim=1)
        features = features[torch.arange(len(features), device=features.device), last]
    return logits, features
