from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from ctkd_cli.backbones.base import Backbone, ModelSize

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ctkd_cli.tasks.kinds.base import Kind

Width = Annotated[int, Field(ge=1)]


class Convnet(Backbone):
    """A small convolutional network for small images, trained from scratch."""

    reads: ClassVar[frozenset[str]] = frozenset({"pixels"})

    channels: tuple[Width, ...] = Field((16, 32), min_length=1, description="width of each block")
    n_inputs: Annotated[int, Field(ge=1, le=4)] = Field(1, description="1 for grey, 3 for colour")

    def build(self, labels: Sequence[str], kind: Kind) -> PreTrainedModel:
        from ctkd_cli.backbones._convnet_model import ConvNet, ConvNetConfig

        config = ConvNetConfig(
            self.channels,
            self.n_inputs,
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
        )
        return ConvNet(config).train()

    def load_trained(self, folder: Path) -> PreTrainedModel:
        from ctkd_cli.backbones._convnet_model import ConvNet

        return ConvNet.from_pretrained(folder)

    def preprocessor(self) -> ChannelsFirst:
        return ChannelsFirst()

    def load_preprocessor(self, folder: Path) -> ChannelsFirst:
        return ChannelsFirst()

    def fingerprint(self) -> str:
        settings = self.model_dump(mode="json", include=set(Convnet.model_fields))
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def size(self) -> ModelSize:
        widths = (self.n_inputs, *self.channels)
        weights = [9 * before * after for before, after in pairwise(widths)]
        # Each block sees a quarter of the pixels of the one before.
        flops = sum(2.0 * weight / 4**depth for depth, weight in enumerate(weights))
        return ModelSize(sum(weights), flops)


class ChannelsFirst:
    """[N, H, W] or [N, C, H, W] in [0, 1] -> float32 [N, C, H, W], zero mean per image set."""

    MEAN, DEVIATION = 0.5, 0.5

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if images.ndim == 3:
            images = images[:, None]
        return ((images - self.MEAN) / self.DEVIATION).astype(np.float32)

    def save_pretrained(self, folder: str | Path) -> None:
        settings = {"mean": self.MEAN, "deviation": self.DEVIATION, "layout": "channels first"}
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(settings, indent=2))
