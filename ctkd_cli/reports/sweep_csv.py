"""sweep.csv: a row per job, for other programs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ctkd_cli.runs.spreadsheet import inert, write
from ctkd_cli.sweep.job import LIKELIHOOD
from ctkd_cli.tasks.metric import MACRO_F1

if TYPE_CHECKING:
    from ctkd_cli.sweep.job import Job


def render(jobs: Sequence[Job]) -> str:
    """Settings as typed and figures in full; an empty cell where there is none."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.settings))
    name = next((job.metric for job in jobs if job.ended), MACRO_F1).name
    judged = [f"{what}/{name}" for what in ("alone", "distilled", "gain")]
    ends = [f"gain/{name}_low", f"gain/{name}_high"]
    unseen = [f"distilled/validation_{name}", f"distilled/cross_validated_{LIKELIHOOD.name}"]
    figures = [*judged, *ends, "distilled/accuracy", *unseen]
    text = io.StringIO()
    header = ["job", "status", *map(inert, keys), *figures, "reason"]
    write(text, [header, *_rows(jobs, keys, figures)])
    return text.getvalue()


def _rows(jobs: Sequence[Job], keys: Sequence[str], names: Sequence[str]) -> Iterator[list[object]]:
    for job in jobs:
        settings = (inert(job.settings.get(key, "")) for key in keys)
        figures = (job.metrics.get(name, "") for name in names)
        reason = "; ".join(line.strip() for line in job.reason.splitlines() if line.strip())
        yield [job.name, job.status, *settings, *figures, inert(reason)]
