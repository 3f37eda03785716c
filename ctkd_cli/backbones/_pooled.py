"""Logits and features of any classifier, without code per model.

The feature is the INPUT of the model's final linear layer, caught by a hook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ctkd_cli.backbones._mean_pooling_model import mean_state

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ctkd_cli.tasks.kinds.base import Batch


def final_linear(model: PreTrainedModel) -> nn.Linear:
    """The layer that makes the logits: the last linear one with an output per label."""
    n_labels = model.config.num_labels
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    matching = [layer for layer in linears if layer.out_features == n_labels]
    if not matching:
        raise ValueError(f"{type(model).__name__} has no linear layer with {n_labels} outputs")
    return matching[-1]


def logits_and_features(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Run a classifier: logits [S, K] and features [S, d], at the positions that the batch names or
    once for each example; and all that its head has read.

    A causal model's head sees every token; where it answers once, its feature is pooled where its
    logits are, at the last token that is not its padding's.
    """
    caught: list[Tensor] = []
    hook = final_linear(model).register_forward_pre_hook(
        lambda _module, arguments: caught.append(arguments[0])
    )
    try:
        logits: Tensor = model(**batch.inputs).logits
    finally:
        hook.remove()
    read = features = caught[-1]
    if batch.where is not None:
        return logits.flatten(0, -2)[batch.where], read.flatten(0, -2)[batch.where], read
    if features.dim() == 3:  # [B, T, d]
        positions = torch.arange(features.shape[1], device=features.device)
        padding = model.config.get_text_config().pad_token_id
        last = ((batch.inputs["input_ids"] != padding) * positions).argmax(dim=1)
        features = features[torch.arange(len(features), device=features.device), last]
    return logits, features, read


def embeddings(model: PreTrainedModel, batch: Batch) -> Tensor | None:
    """What the body of a classifier of tokens makes of its inputs, before any head: the mean of the
    last hidden states of an example's real tokens, [B, d], or the states at the positions that the
    batch names, [S, d]. Of an encoder with a decoder: the encoder's. None where inputs are no
    tokens.

    Of a body that shortens its input, as Funnel does, a state is real where a token of it is.
    """
    if "input_ids" not in batch.inputs:
        return None
    caught: list[Tensor] = []

    def catch(_module: nn.Module, _arguments: object, output: object) -> None:
        encoded = getattr(output, "encoder_last_hidden_state", None)
        caught.append(output[0] if encoded is None else encoded)  # type: ignore[index]

    hook = model.base_model.register_forward_hook(catch)
    try:
        model(**batch.inputs)
    finally:
        hook.remove()
    hidden = caught[-1]  # [B, T, d]
    if batch.where is not None:
        return hidden.flatten(0, -2)[batch.where]
    mask = batch.inputs.get("attention_mask")
    if mask is None:
        mask = batch.inputs["input_ids"] != model.config.pad_token_id
    real = mask.to(hidden.dtype)
    if real.shape[1] != hidden.shape[1]:
        real = nn.functional.adaptive_max_pool1d(real[:, None], hidden.shape[1])[:, 0]
    return mean_state(hidden, real)
