"""A kind of task from outside the package: the topics of the first and the last word of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset

from ctkd_cli.data._labels import Column, label_column
from ctkd_cli.tasks.kinds.base import Batch, Encoded, codes_of
from ctkd_cli.tasks.kinds.text import Text
from ctkd_cli.tasks.metric import Metric

ENDS = 2  # positions of each example
MISTAKES = Metric(
    "mistakes", "mistakes",
    lambda totals: totals[:, 0] / np.maximum(totals[:, 1], 1), higher_is_better=False,
)  # fmt: skip


class Ends(Text):
    """The topics of the first and the last word of a text, as `sport+tech`."""

    architecture: ClassVar[str] = "AutoModelForTokenClassification"
    pipeline: ClassVar[str] = "token-classification"

    def usage(self, own_code: bool = False) -> str:
        return "`ctkd predict RUN FILE` labels new texts."

    def offsets(self, inputs: Dataset) -> np.ndarray:
        return np.arange(len(inputs) + 1) * ENDS

    def read_labels(self, table: Dataset, column: str, where: str) -> Column:
        pairs = label_column(table, column, where)
        if not pairs.names:
            return Column((), np.full(len(table) * ENDS, -1))
        split = [name.split("+") for name in pairs.names]
        names = tuple(sorted({name for pair in split for name in pair}))
        codes = np.array([[names.index(name) for name in pair] for pair in split])
        each = np.where(pairs.codes[:, None] < 0, -1, codes[pairs.codes])
        return Column(names, each.reshape(-1))

    def encode(
        self, inputs: Dataset, preprocessor: Any, digests: np.ndarray | None = None
    ) -> Encoded:
        read, n = super().encode(inputs, preprocessor, digests), len(inputs)
        return replace(read, offsets=self.offsets(inputs), numbers=np.tile(np.arange(ENDS), n))

    def collate(self, rows: Sequence[Mapping[str, Any]], preprocessor: Any) -> Batch:
        read = super().collate(rows, preprocessor)
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        starts = torch.arange(len(rows)) * read.inputs["input_ids"].shape[1]
        where = torch.stack([starts + 1, starts + lengths - 2], dim=1)  # inside [CLS] and [SEP]
        return Batch(read.inputs, where.reshape(-1))

    def metric(self, labels: Sequence[str]) -> Metric:
        return MISTAKES

    def statistics(self, gold: pa.Array, predicted: pa.Array, names: Sequence[str]) -> np.ndarray:
        (codes, _), (said, _) = codes_of(gold, names), codes_of(predicted, names)
        known = (codes >= 0).reshape(-1, ENDS)
        wrong = (codes != said).reshape(-1, ENDS) & known
        return np.stack([wrong.sum(axis=1), known.sum(axis=1)], axis=1).astype(float)
