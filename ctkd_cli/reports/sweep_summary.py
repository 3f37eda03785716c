"""What is left of a sweep for people: a table, a page, a CSV."""

from __future__ import annotations

from pathlib import Path

from ctkd_cli.reports import sweep_csv, sweep_page, sweep_table
from ctkd_cli.runs.atomic import write_atomically
from ctkd_cli.sweep.directory import Sweep
from ctkd_cli.sweep.job import Job


def summarise(directory: Path) -> list[Job]:
    """Write sweep.csv, sweep.html and its pictures, print the table, and return the jobs that did
    not end well."""
    sweep = Sweep(directory)
    write_atomically(directory / "sweep.csv", sweep_csv.render(sweep.jobs))
    sweep_page.write(sweep)
    sweep_table.show(sweep)
    return sweep.failed
