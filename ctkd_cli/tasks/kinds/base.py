"""What every kind of task can do with its inputs."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ctkd_cli.settings.component import Component

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

Row = Mapping[str, Any]
BATCH = 1_000  # rows of a table that are Python objects at one time
DIGEST = 8  # bytes: among a million examples, two share one with a chance of 3e-8


@dataclass(frozen=True)
class Encoded:
    """A split as one model reads it. It holds neither ids nor labels: the loop joins those.

    rows: one mapping of model inputs per example, in the order of the split.
    lengths: the size of each example, in the kind's own unit (tokens, pixels); batches group by it.
    truncated: how many examples lost content to the length limit.
    """

    rows: Sequence[Row]
    lengths: np.ndarray
    truncated: int = 0


class Kind(Component):
    """A kind of task: which columns hold the input, and how a model reads it.

    A preprocessor is whatever the backbone ships for its inputs (a tokenizer, an image processor);
    each model brings its own, and kinds are the only code that looks inside.
    """

    package: ClassVar[str] = "tasks.kinds"
    selector: ClassVar[str] = "kind"
    kind: str = ""

    @classmethod
    def group(cls) -> str:
        return "ctkd.tasks"  # its name of old

    @abstractmethod
    def columns(self) -> dict[str, str]:
        """Input columns: our name for it -> the user's column name."""

    def conform(self, inputs: Dataset, where: str) -> Dataset:
        """Our columns in the type that this kind reads. Raises InputError when one of them, in
        the data that `where` names, holds something else."""
        return inputs

    @abstractmethod
    def encode(self, inputs: Dataset, preprocessor: Any, *, keep: bool = True) -> Encoded:
        """Read a split with one model's preprocessor. `inputs` has the columns we name. keep: in
        the cache, where reading is dear."""

    @abstractmethod
    def collate(self, rows: Sequence[Row], preprocessor: Any) -> dict[str, Tensor]:
        """Encoded rows -> the keyword arguments of the model's forward, padded to the longest."""

    def tokens(self, encoded: Encoded, preprocessor: Any) -> np.ndarray | None:
        """The ids that batches of a split can hold, sorted; None where inputs are no tokens."""
        return None

    @abstractmethod
    def sizes(self, inputs: Dataset) -> list[int]:
        """The size of each example without any model: words of a text, pixels of an image."""

    size_unit: ClassVar[str]
    per_batch: ClassVar[int] = (
        2_048  # units of `Encoded.lengths` that a model reads at once, on CPU
    )

    def units(self, inputs: Dataset) -> list[float]:
        """What a model reads of each example, in its own unit (tokens, pixels), without asking a
        model: for estimates of cost."""
        return [float(size) for size in self.sizes(inputs)]

    @abstractmethod
    def show(self, row: Row) -> str:
        """One example as plain text, for reports."""

    @abstractmethod
    def key(self, row: Row) -> str:
        """What makes two examples the same example; duplicates across splits are found by it."""

    def keys(self, inputs: Dataset) -> np.ndarray:
        """`key` of each example, hashed: [N] uint64, 0 for an empty key."""
        found = np.empty(len(inputs), np.uint64)
        for position, row in enumerate(rows(inputs)):
            key = self.key(row).encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(key, digest_size=DIGEST).digest() if key else b""
            found[position] = int.from_bytes(digest)
        return found

    @abstractmethod
    def read_inputs(self, path: Path | None) -> Dataset:
        """New, unlabelled inputs for `ctkd predict`, from a file or (None) from stdin."""


def batches(inputs: Dataset) -> Iterator[Mapping[str, list[Any]]]:
    """Some rows of a table at a time, as columns of Python objects."""
    yield from inputs.with_format(None).iter(batch_size=BATCH)


def rows(inputs: Dataset) -> Iterator[Row]:
    """The rows of a table."""
    for columns in batches(inputs):
        names = list(columns)
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(names, values, strict=True))


def hash_inputs(digest: hashlib._Hash, inputs: Dataset) -> None:
    """Add every value of some inputs to a hash."""
    for columns in batches(inputs):
        for values in columns.values():
            digest.update(repr(values).encode())
