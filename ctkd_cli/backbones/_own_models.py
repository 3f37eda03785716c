"""Architectures of ours, which transformers' Auto classes come to know where a folder holds one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ctkd_cli.backbones import _weights
from ctkd_cli.errors import InputError
from ctkd_cli.runtime.lazy import transformers

OWN = {  # model_type in config.json -> module and stem of its two classes
    "mean-pooling": ("_mean_pooling_model", "MeanPooling"),
    "static": ("_static_model", "Static"),
}


def register_for(folder: Path) -> None:
    """Let the Auto classes know the architecture of a folder, as if it were transformers' own. A
    folder that cannot be read is told by whoever reads it."""
    try:
        model_type = _weights.read_config(folder, "").get("model_type")
    except InputError:
        return
    if model_type not in OWN:
        return
    module, stem = OWN[model_type]
    own = import_module(f"ctkd_cli.backbones.{module}")
    config = getattr(own, f"{stem}Config")
    classifier = getattr(own, f"{stem}ForSequenceClassification")
    transformers.AutoConfig.register(model_type, config, exist_ok=True)
    transformers.AutoModelForSequenceClassification.register(config, classifier, exist_ok=True)
