from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.data.base import Reader

if TYPE_CHECKING:
    from datasets import Dataset


class Digits(Reader):
    """scikit-learn's handwritten digits: 1,797 grey images of 8 x 8, values 0 to 16, as 0 to 1.

    Source: Alpaydin and Kaynak, UCI 1998; ships with scikit-learn (BSD).
    """

    def read(self, columns: dict[str, str], label: str) -> dict[str, Dataset]:
        from datasets import Dataset
        from sklearn.datasets import load_digits

        (column,) = columns.values()
        digits = load_digits()
        images = (digits.images / 16).astype(np.float32)
        return {
            "train": Dataset.from_dict(
                {
                    "id": [f"digit-{row:04d}" for row in range(len(images))],
                    column: list(images),
                    label: [str(name) for name in digits.target],
                }
            )
        }
