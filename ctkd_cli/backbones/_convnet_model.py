"""The network behind backbone=convnet, in transformers' save and load format."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput


class ConvNetConfig(PreTrainedConfig):  # type: ignore[misc]
    model_type = "ctkd-convnet"

    def __init__(self, channels: tuple[int, ...] = (16, 32), n_inputs: int = 1, **kwargs: Any):
        self.channels = list(channels)
        self.n_inputs = n_inputs
        super().__init__(**kwargs)


class ConvNet(PreTrainedModel):  # type: ignore[misc]
    """Blocks of convolution 3 x 3, batch norm, ReLU and pooling by 2; mean over space; linear.

    pixel_values: [B, C, H, W] -> logits [B, K].
    """

    config_class = ConvNetConfig
    main_input_name = "pixel_values"

    def __init__(self, config: ConvNetConfig) -> None:
        super().__init__(config)
        widths = [config.n_inputs, *config.channels]
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, kernel_size=3, padding=1),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                    nn.MaxPool2d(2, ceil_mode=True),
                )
                for before, after in pairwise(widths)
            )
        )
        self.classifier = nn.Linear(widths[-1], config.num_labels)
        self.post_init()

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> ImageClassifierOutput:
        features = self.blocks(pixel_values).mean(dim=(2, 3))
        return ImageClassifierOutput(logits=self.classifier(features))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
