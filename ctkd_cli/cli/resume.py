"""`ctkd resume`: finish a run or a sweep that was interrupted, killed or failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runs.rundir import SWEEP_FILE


def resume(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run directory, or that of a sweep.")
    ],
) -> None:
    """Finish a run or a sweep, with the same settings, in its own directory. Teachers, knowledge
    and arms that were complete are not made again; complete jobs of a sweep are left as they are.

    \b
    Examples:
      ctkd resume outputs/RUN
      ctkd resume outputs/SWEEP
    """
    from ctkd_cli.cli._again import resume_run
    from ctkd_cli.cli._start import resume_sweep

    if (directory / SWEEP_FILE).is_file():
        resume_sweep(directory)
    elif (directory / "config.yaml").is_file():
        resume_run(directory)
    else:
        raise InputError(
            Problem(
                "there is nothing here to resume",
                where="DIR",
                got=str(directory),
                allowed="a run directory with config.yaml, or a sweep's with sweep.yaml",
                remedy="ctkd run, with the same settings: what was complete is in the cache",
            )
        )
