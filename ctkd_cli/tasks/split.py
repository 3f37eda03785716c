"""Examples in a fixed order. A million of them fit: whatever has a value per example is an array,
in Arrow or in numpy, never a list of Python objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.cache.file_hash import of_code_elsewhere
from ctkd_cli.data._ids import Ids
from ctkd_cli.settings.component import find
from ctkd_cli.tasks.kinds.base import Kind
from ctkd_cli.tasks.positions import Labels

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Split:
    """Examples in a fixed order.

    ids: unique. inputs: the kind's columns. keys: [N] uint64, equal for examples that are the same
    (Kind.key), 0 for empty ones. digests: [N, 2] uint64, of all that a model can see of an input.
    groups: what belongs together, such as a patient or a document; None where that is not known.
    """

    ids: Ids
    inputs: Dataset
    labels: Labels
    keys: np.ndarray
    digests: np.ndarray
    groups: Ids | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def without_labels(self) -> Split:
        return self.labelled_as(self.labels.hidden())

    def labelled_as(self, labels: Labels) -> Split:
        return replace(self, labels=labels)

    def select(self, rows: Sequence[int] | np.ndarray) -> Split:
        rows = np.asarray(rows, dtype=np.int64)
        return Split(
            self.ids.select(rows),
            self.inputs.select(rows),
            self.labels.select(rows),
            self.keys[rows],
            self.digests[rows],
            None if self.groups is None else self.groups.select(rows),
        )

    def without(self, rows: np.ndarray) -> Split:
        return self.select(np.setdiff1d(np.arange(len(self)), rows))


def concatenate(first: Split, second: Split) -> Split:
    """One split after the other."""
    from datasets import concatenate_datasets

    grouped = first.groups is not None and second.groups is not None
    return Split(
        first.ids + second.ids,
        concatenate_datasets([first.inputs, second.inputs]),
        first.labels.joined(second.labels),
        np.concatenate([first.keys, second.keys]),
        np.concatenate([first.digests, second.digests]),
        first.groups + second.groups if grouped else None,  # type: ignore[operator]
    )


def fingerprint(kind: Kind, labels: Sequence[str], splits: Sequence[Split]) -> str:
    """Hash of everything that a model can see of these splits: ids, inputs, labels, and how the
    kind reads them."""
    digest = hashlib.sha256(json.dumps([how_read(kind), list(labels)], default=str).encode())
    for split in splits:
        digest.update(f"{len(split)}".encode())
        for start in range(0, len(split), 10_000):
            digest.update("\0".join(split.ids[start : start + 10_000]).encode())
        digest.update(split.labels.values.astype(np.int64).tobytes())
        digest.update(split.digests.tobytes())
    return digest.hexdigest()


def how_read(kind: Kind) -> dict[str, object]:
    """What of a task decides how an input is read: its kind's settings and, where the kind is from
    elsewhere, its code."""
    cls = find(Kind, kind.kind, "kind")  # type: ignore[type-abstract]
    settings = {name: getattr(kind, name) for name in sorted(cls.model_fields)}
    return {**settings, **of_code_elsewhere(cls)}
