"""`ctkd report`: rebuild a run's reports from its own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]) -> None:
    """Rebuild the reports of a run from its predictions and events.

    \b
    Example:
      ctkd report outputs/RUN
    """
    from ctkd_cli.reports import print_summary, write_reports

    write_reports(run)
    print_summary(run)
