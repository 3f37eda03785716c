from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from ctkd_cli.data._source import Source
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import torch
from ctkd_cli.tasks.kinds._new_inputs import Asked, NewInputs
from ctkd_cli.tasks.kinds.base import NOTHING, Batch, Encoded, Kind, Row

if TYPE_CHECKING:
    from datasets import Dataset

SHADES = " .:-=+*#%@"


class Images(Kind):
    """Classify small images: arrays [height, width] or [channels, height, width], all alike, with
    values in [0, 1]."""

    modality: ClassVar[str] = "pixels"
    pipeline: ClassVar[str] = "image-classification"
    size_unit: ClassVar[str] = "pixels"
    per_batch: ClassVar[int] = 2**16
    image: str = Field("image", description="the column that holds the pixels")

    def columns(self) -> dict[str, str]:
        return {"image": self.image}

    def encode(
        self, inputs: Dataset, preprocessor: Any, digests: np.ndarray | None = None
    ) -> Encoded:
        pixels = preprocessor(_stack(inputs))  # [N, C, H, W]
        return Encoded(
            [{"pixel_values": image} for image in pixels], np.full(len(pixels), pixels[0].size)
        )

    def collate(self, rows: Sequence[Row], preprocessor: Any) -> Batch:
        stacked = np.stack([row["pixel_values"] for row in rows])
        return Batch({"pixel_values": torch.from_numpy(stacked)})

    def sizes(self, inputs: Dataset) -> list[int]:
        images = _stack(inputs)
        return [int(images[0].size)] * len(images)

    def show(self, row: Row) -> str:
        """The image in ten shades of characters."""
        image = np.asarray(row["image"], dtype=np.float32)
        grey = image if image.ndim == 2 else image.mean(axis=0)
        shades = np.clip((grey * len(SHADES)).astype(int), 0, len(SHADES) - 1)
        return "\n".join("".join(SHADES[shade] for shade in line) for line in shades)

    def key(self, row: Row) -> str:
        return self.content(row).hex()

    def content(self, row: Row) -> bytes:
        return np.asarray(row["image"], dtype=np.float32).tobytes()

    def read_inputs(self, path: Path | None, asked: Asked = NOTHING) -> NewInputs:
        from datasets import Dataset

        asked.require_none(path)
        if path is None:
            raise InputError(
                Problem(
                    "images cannot be read from standard input",
                    where="FILE",
                    allowed="a .npy file [N, H, W] or [N, C, H, W]",
                )
            )
        source = Source.find(path, "FILE")
        try:
            images = np.load(source.path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(
                Problem(
                    "this is no array of images",
                    where=str(path),
                    got=str(error),
                    allowed="a .npy file [N, H, W] or [N, C, H, W] with values in [0, 1]",
                )
            ) from None
        return NewInputs(Dataset.from_dict({"image": list(images.astype(np.float32))}))


def _stack(inputs: Dataset) -> np.ndarray:
    return np.asarray(inputs.with_format("numpy")["image"][:], dtype=np.float32)
