"""`ctkd report`: rebuild the reports of a run or a sweep from its own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run directory, or that of a sweep.")
    ],
) -> None:
    """Rebuild the reports of a run from its predictions and events; of a sweep, from its jobs.

    \b
    Example:
      ctkd report outputs/RUN
    """
    from ctkd_cli.reports import print_summary, write_reports
    from ctkd_cli.reports.sweep_summary import summarise
    from ctkd_cli.sweep.search.best_trials import tell_best

    jobs = sorted(path.parent for path in run.glob("*/predictions.parquet"))
    for directory in jobs or [run]:
        write_reports(directory)
    if jobs:
        summarise(run)
        tell_best(run)
    else:
        print_summary(run)
