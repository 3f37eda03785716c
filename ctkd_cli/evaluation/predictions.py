"""predictions.parquet: what every arm said of every test example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ctkd_cli.runs.atomic import write_through
from ctkd_cli.tasks.kinds.base import rows
from ctkd_cli.tasks.task import Task

SHOWN = 2_000  # characters kept of an input


def table(arm: str, seed: int, task: Task, logits: np.ndarray) -> pa.Table:
    """One arm on its task's test split; logits: [S, K], of every position."""
    test, kind = task.test, task.settings
    n = len(test)
    columns: dict[str, Any] = {
        "arm": [arm] * n,
        "seed": pa.array([seed] * n, pa.int64()),
        "id": test.ids.array,
        **({} if test.groups is None else {"group": test.groups.array}),
        "input": [kind.show(row)[:SHOWN] for row in rows(test.inputs)],
        "gold": kind.gold(test.labels, task.labels),
        **kind.answer(logits, test.labels.offsets, task.labels),
    }
    return pa.table(columns)


def write(path: Path, tables: Sequence[pa.Table]) -> None:
    """All arms in one file; a label that an arm does not have is null there."""
    merged = pa.concat_tables(tables, promote_options="default")
    write_through(path, lambda temporary: pq.write_table(merged, temporary))
