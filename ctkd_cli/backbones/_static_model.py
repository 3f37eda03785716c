"""A classifier that reads the mean of its tokens' vectors, whatever stands beside them: no
attention, no layers. save_pretrained puts this file beside the weights, so that transformers can
load them without ctkd (trust_remote_code=True), and `static_numpy.py`, which needs no torch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

WITHOUT_TORCH = "_static_numpy.py"  # beside this file, where ctkd is


class StaticConfig(PreTrainedConfig):  # type: ignore[misc]
    """vocab_size: tokens; hidden_size: width of their vectors; dropout: of their mean."""

    model_type = "static"

    def __init__(
        self, vocab_size: int = 1, hidden_size: int = 1, dropout: float = 0.1, **kwargs: Any
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.dropout = dropout
        super().__init__(**kwargs)


class StaticForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """input_ids [B, T] -> mean of the vectors of real tokens, to zero mean and unit variance
    [B, d], dropout, linear: logits [B, K]."""

    config_class = StaticConfig

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def pooled(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """What the head reads, [B, d]."""
        vectors = self.embeddings(input_ids)
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        real = real.to(vectors.dtype).unsqueeze(-1)
        mean = (vectors * real).sum(dim=1) / real.sum(dim=1).clamp_min(1)
        return nn.functional.layer_norm(mean, mean.shape[-1:])

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> SequenceClassifierOutput:
        read = self.dropout(self.pooled(input_ids, attention_mask))
        return SequenceClassifierOutput(logits=self.classifier(read))

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings = value  # type: ignore[assignment]

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        super().save_pretrained(save_directory, **kwargs)
        own = Path(__file__).with_name(WITHOUT_TORCH)
        if own.exists():
            shutil.copy(own, Path(save_directory) / WITHOUT_TORCH.lstrip("_"))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)


StaticConfig.register_for_auto_class()
StaticForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
