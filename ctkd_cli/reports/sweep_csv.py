"""sweep.csv: a row per job, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctkd_cli.printable import no_formula
from ctkd_cli.sweep.job import VALIDATION

if TYPE_CHECKING:
    from ctkd_cli.sweep import Job

METRICS = (
    "alone/macro_f1", "distilled/macro_f1", "gain/macro_f1", "distilled/accuracy", VALIDATION,
)  # fmt: skip


def render(jobs: Sequence[Job]) -> str:
    """Settings as typed and figures in full; an empty cell where there is none."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "status", *map(no_formula, keys), *METRICS, "reason"])
    for job in jobs:
        settings = (no_formula(job.settings.get(key, "")) for key in keys)
        figures = (job.metrics.get(metric, "") for metric in METRICS)
        reason = "; ".join(line.strip() for line in job.reason.splitlines() if line.strip())
        writer.writerow([job.name, job.status, *settings, *figures, no_formula(reason)])
    return text.getvalue()
