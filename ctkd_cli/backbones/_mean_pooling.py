"""Models that read the mean of their hidden states, made and loaded; torch is imported when one
is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MODEL_TYPE = "mean-pooling"  # in config.json
DROPOUTS = ("classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout",
            "hidden_dropout_prob", "hidden_dropout", "dropout")  # fmt: skip


def classifier(body: PreTrainedModel) -> PreTrainedModel:
    """A new head on the mean of a model's hidden states, with the labels of its configuration."""
    from ctkd_cli.backbones import _mean_pooling_model as own

    config: Any = body.config
    found = (getattr(config, name, None) for name in DROPOUTS)
    dropout = next((float(value) for value in found if value is not None), 0.1)
    outer = own.MeanPoolingConfig(
        config.to_dict(), dropout, id2label=config.id2label, label2id=config.label2id,
        problem_type=config.problem_type, pad_token_id=config.pad_token_id,
    )  # fmt: skip
    return own.MeanPoolingForSequenceClassification(outer, body)


def load(folder: Path) -> PreTrainedModel:
    """One that save_pretrained has written."""
    from ctkd_cli.backbones._mean_pooling_model import MeanPoolingForSequenceClassification

    found: PreTrainedModel = MeanPoolingForSequenceClassification.from_pretrained(
        folder, use_safetensors=True
    )
    return found
