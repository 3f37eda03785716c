"""sweep.csv: a row per job, for other programs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ctkd_cli.runs.spreadsheet import inert, write
from ctkd_cli.sweep.job import VALIDATION

if TYPE_CHECKING:
    from ctkd_cli.sweep.job import Job

METRICS = (
    "alone/macro_f1", "distilled/macro_f1", "gain/macro_f1", "distilled/accuracy", VALIDATION,
)  # fmt: skip


def render(jobs: Sequence[Job]) -> str:
    """Settings as typed and figures in full; an empty cell where there is none."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.settings))
    text = io.StringIO()
    write(text, [["job", "status", *map(inert, keys), *METRICS, "reason"], *_rows(jobs, keys)])
    return text.getvalue()


def _rows(jobs: Sequence[Job], keys: Sequence[str]) -> Iterator[list[object]]:
    for job in jobs:
        settings = (inert(job.settings.get(key, "")) for key in keys)
        figures = (job.metrics.get(metric, "") for metric in METRICS)
        reason = "; ".join(line.strip() for line in job.reason.splitlines() if line.strip())
        yield [job.name, job.status, *settings, *figures, inert(reason)]
