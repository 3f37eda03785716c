"""Examples in a fixed order. A million of them fit: whatever has a value per example is an array,
in Arrow or in numpy, never a list of Python objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from ctkd_cli.component import find
from ctkd_cli.lazy import pa, pc
from ctkd_cli.memory import mapped_buffer
from ctkd_cli.tasks.base import Kind, hash_inputs

if TYPE_CHECKING:
    from datasets import Dataset

UNLABELLED = -1


class Ids(Sequence[str]):
    """Names of examples, as one Arrow array."""

    def __init__(self, names: Sequence[str] | pa.Array) -> None:
        array = names if isinstance(names, pa.Array) else pa.array(list(names), pa.large_string())
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Ids: ...

    def __getitem__(self, row: int | slice) -> str | Ids:
        found = self.array[row]
        return Ids(found) if isinstance(row, slice) else str(found.as_py())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 10_000):
            yield from self.array[start : start + 10_000].to_pylist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ids) and bool(self.array.equals(other.array))

    def __hash__(self) -> int:
        return hash((len(self), *self[:3]))

    def __add__(self, other: Ids) -> Ids:
        return Ids(pa.concat_arrays([self.array, other.array]))

    def select(self, rows: np.ndarray) -> Ids:
        return Ids(self.array.take(pa.array(rows)))

    def prefixed(self, prefix: str) -> Ids:
        """Every name with a prefix."""
        first, nothing = (pa.scalar(text, pa.large_string()) for text in (prefix, ""))
        return Ids(pc.binary_join_element_wise(first, self.array, nothing))

    def repeat(self) -> bool:
        """Whether a name occurs twice."""
        return int(pc.count_distinct(self.array, mode="all").as_py()) < len(self)

    def first_seen(self) -> np.ndarray:
        """Of each name, the row where it first occurs."""
        return np.asarray(pc.index_in(self.array, value_set=self.array), dtype=np.int64)

    def first_of_each(self) -> np.ndarray:
        """A row of every distinct name, in the order of the names."""
        order = np.asarray(pc.array_sort_indices(self.array))
        ordered = self.array.take(pa.array(order))
        new = np.ones(len(order), dtype=bool)
        if len(order) > 1:
            new[1:] = np.asarray(pc.not_equal(ordered[1:], ordered[:-1]))
        return order[new]

    def positions(self, names: Sequence[str]) -> np.ndarray:
        """Where these names stand. KeyError when one is not there."""
        wanted = names if isinstance(names, Ids) else Ids(names)
        found = pc.index_in(wanted.array, value_set=self.array)
        if found.null_count:
            missing = wanted.array.filter(pc.is_null(found))
            raise KeyError(missing[0].as_py())
        return np.asarray(found, dtype=np.int64)

    def write(self, file: Path) -> None:
        batch = pa.record_batch([self.array], names=["id"])
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)

    @classmethod
    def read(cls, file: Path) -> Ids:
        """What `write` wrote, memory-mapped."""
        (found,) = pa.ipc.open_file(mapped_buffer(file)).read_all()["id"].chunks
        return cls(found)

    @classmethod
    def of_column(cls, table: Dataset, column: str) -> Ids:
        """What a column holds, as texts."""
        values = table.with_format("arrow")[:][column].combine_chunks()
        if not (pa.types.is_string(values.type) or pa.types.is_integer(values.type)):
            return cls([str(value) for value in table[column]])  # as Python writes them
        return cls(pc.fill_null(values.cast(pa.large_string()), str(None)))

    @classmethod
    def counted(cls, prefix: str, n: int) -> Ids:
        """`train-0`, `train-1`, ..."""
        return cls(pa.array(np.arange(n)).cast(pa.large_string())).prefixed(f"{prefix}-")


@dataclass(frozen=True)
class Split:
    """Examples in a fixed order.

    ids: unique. inputs: the kind's columns. labels: int64, index into Task.labels, or UNLABELLED.
    keys: [N] uint64, equal for examples that are the same (Kind.keys), 0 for empty ones.
    """

    ids: Ids
    inputs: Dataset
    labels: np.ndarray
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def without_labels(self) -> Split:
        return self.labelled_as(np.broadcast_to(UNLABELLED, len(self)))

    def labelled_as(self, labels: np.ndarray) -> Split:
        return Split(self.ids, self.inputs, labels, self.keys)

    def select(self, rows: Sequence[int] | np.ndarray) -> Split:
        rows = np.asarray(rows, dtype=np.int64)
        return Split(
            self.ids.select(rows), self.inputs.select(rows), self.labels[rows], self.keys[rows]
        )

    def without(self, rows: np.ndarray) -> Split:
        return self.select(np.setdiff1d(np.arange(len(self)), rows))


def concatenate(first: Split, second: Split) -> Split:
    """One split after the other."""
    from datasets import concatenate_datasets

    return Split(
        first.ids + second.ids,
        concatenate_datasets([first.inputs, second.inputs]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.keys, second.keys]),
    )


def fingerprint(kind: Kind, labels: Sequence[str], splits: Sequence[Split]) -> str:
    """Hash of everything that a model can see of these splits: ids, inputs, labels, and how the
    kind reads them."""
    digest = hashlib.sha256(json.dumps([how_read(kind), list(labels)], default=str).encode())
    for split in splits:
        digest.update(f"{len(split)}".encode())
        for start in range(0, len(split), 10_000):
            digest.update("\0".join(split.ids[start : start + 10_000]).encode())
        digest.update(split.labels.tobytes())
        hash_inputs(digest, split.inputs)
    return digest.hexdigest()


def how_read(kind: Kind) -> dict[str, object]:
    """The settings of a task that decide how an input is read: those of its kind."""
    cls = find(Kind, kind.kind, "kind")  # type: ignore[type-abstract]
    return {name: getattr(kind, name) for name in sorted(cls.model_fields)}
