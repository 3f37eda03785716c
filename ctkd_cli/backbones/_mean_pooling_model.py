"""A classifier that reads the mean of a model's last hidden states, as sentence encoders are made
to be read. save_pretrained puts this file beside the weights, so that transformers can load them
without ctkd (trust_remote_code=True)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

# what the configuration has, and its body need not
OUTER = ("id2label", "label2id", "problem_type", "architectures", "auto_map")


class MeanPoolingConfig(PreTrainedConfig):  # type: ignore[misc]
    """body: the configuration of the model that is read, as a dict. dropout: of its mean."""

    model_type = "mean-pooling"

    def __init__(self, body: dict[str, Any] | None = None, dropout: float = 0.1, **kwargs: Any):
        self.body = {k: v for k, v in (body or {}).items() if k not in OUTER and k[0] != "_"}
        self.dropout = dropout
        super().__init__(**kwargs)

    @property
    def body_config(self) -> Any:
        return AutoConfig.for_model(**self.body)

    @property
    def num_hidden_layers(self) -> int:
        return int(self.body_config.num_hidden_layers)

    @num_hidden_layers.setter
    def num_hidden_layers(self, value: int) -> None:
        self.body["num_hidden_layers"] = value


def mean_state(hidden: Tensor, real: Tensor) -> Tensor:
    """The mean of the states [B, T, d] of real tokens, [B, T] 1 where one is: [B, d]."""
    return (hidden * real.unsqueeze(-1)).sum(dim=1) / real.sum(dim=1, keepdim=True).clamp_min(1)


class MeanPoolingForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """The body's last hidden states [B, T, d] -> their mean over real tokens [B, d], dropout,
    linear: logits [B, K]."""

    config_class = MeanPoolingConfig
    base_model_prefix = "body"

    def __init__(self, config: MeanPoolingConfig, body: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.body = AutoModel.from_config(config.body_config) if body is None else body
        if getattr(self.body, "pooler", None) is not None:
            self.body.pooler = None  # another pooling, which nobody reads
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(self.body.config.hidden_size, config.num_labels)
        if body is None:
            self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> SequenceClassifierOutput:
        read = self.body(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        hidden = read.last_hidden_state
        if attention_mask is None:
            attention_mask = torch.ones(hidden.shape[:2], device=hidden.device)
        mean = mean_state(hidden, attention_mask.to(hidden.dtype))
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(mean)))

    def get_input_embeddings(self) -> nn.Module:
        found: nn.Module = self.body.get_input_embeddings()
        return found

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.body.set_input_embeddings(value)

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.classifier:
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        else:
            self.body._init_weights(module)


MeanPoolingConfig.register_for_auto_class()
MeanPoolingForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
