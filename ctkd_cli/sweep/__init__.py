"""Many runs: read from their own files, shown while they go on, told in a table and a page.

| file | what |
|---|---|
| job.py | a job, from its directory; jobs that differ in their seed only |
| directory.py | all of a sweep: its jobs, its groups, the settings that validation chooses |
| shapes.py | what the groups' scores look like over the settings: curves, a grid, lines |
| watch.py | where all jobs are while they run |
| display.py | what the user sees of that |
"""

from __future__ import annotations

from pathlib import Path

from ctkd_cli.rundir import write_atomically
from ctkd_cli.sweep.directory import Sweep
from ctkd_cli.sweep.job import Job


def summarise(directory: Path) -> list[Job]:
    """Write sweep.csv, sweep.html and its pictures, print the table, and return the jobs that did
    not end well."""
    from ctkd_cli.reports import sweep_csv, sweep_page, sweep_table

    sweep = Sweep(directory)
    write_atomically(directory / "sweep.csv", sweep_csv.render(sweep.jobs))
    sweep_page.write(sweep)
    sweep_table.show(sweep)
    return sweep.failed


__all__ = ["Job", "Sweep", "summarise"]
