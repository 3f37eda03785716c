"""Names of examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from ctkd_cli.runtime.lazy import pa, pc
from ctkd_cli.runtime.memory import mapped_buffer

if TYPE_CHECKING:
    from datasets import Dataset


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
    def of_column(cls, table: Dataset, column: str, prefix: str) -> Ids:
        """What a column holds, as texts; a row that has none is counted: `train-7`."""
        values = table.with_format("arrow")[:][column].combine_chunks()
        if not (pa.types.is_string(values.type) or pa.types.is_integer(values.type)):
            as_python = (None if value is None else str(value) for value in table[column])
            values = pa.array(as_python, pa.large_string())
        texts = values.cast(pa.large_string())
        absent = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), True)
        return cls(pc.if_else(absent, cls.counted(prefix, len(table)).array, texts))

    @classmethod
    def counted(cls, prefix: str, n: int) -> Ids:
        """`train-0`, `train-1`, ..."""
        return cls(pa.array(np.arange(n)).cast(pa.large_string())).prefixed(f"{prefix}-")
