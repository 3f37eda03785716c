"""What readers of tagged sentences share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ctkd_cli.data._corpus import part

if TYPE_CHECKING:
    from datasets import Dataset


def drop_repeats(table: Mapping[str, Sequence[object]]) -> dict[str, list[object]]:
    """The first of sentences with equal `words`, and its row in every other column."""
    first: dict[tuple[object, ...], int] = {}
    for row, words in enumerate(table["words"]):
        first.setdefault(tuple(words), row)  # type: ignore[arg-type]
    return {name: [values[row] for row in first.values()] for name, values in table.items()}


def parted(table: Dataset, documents: str) -> dict[str, Dataset]:
    """The documents (`group`) of a table, parted 40/30/30 once and for all: `source` has the first
    part to train on, `target` the second, and the last to test, `all` whatever is not the last."""
    groups = table["group"][:]
    names = sorted(set(groups))
    rows = part(["" for _ in names])
    chosen = {
        "source": {"train": rows["source"]},
        "target": {"train": rows["target"], "test": rows["test"]},
        "all": {"train": rows["source"] + rows["target"], "test": rows["test"]},
    }[documents]
    splits = {}
    for split, places in chosen.items():
        wanted = {names[place] for place in places}
        inside = [row for row, group in enumerate(groups) if group in wanted]
        splits[split] = table.select(inside)
    return splits
