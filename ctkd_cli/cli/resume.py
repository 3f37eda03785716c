"""`ctkd resume`: finish a run or a sweep that was interrupted, killed or failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctkd_cli.cli._directories import is_complete, read_yaml
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
    if (directory / SWEEP_FILE).is_file():
        _resume_sweep(directory)
    elif (directory / "config.yaml").is_file():
        _resume_run(directory)
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


def _resume_run(directory: Path) -> None:
    from ctkd_cli.cli._repeat import typed_before
    from ctkd_cli.cli._single import carry_out
    from ctkd_cli.experiment import load

    experiment = load(read_yaml(directory / "config.yaml"))
    if is_complete(directory, experiment):
        print(f"complete already: {directory}")
        return
    carry_out(experiment, directory, typed_before(directory))


def _resume_sweep(directory: Path) -> None:
    """Run the jobs that are not complete."""
    from ctkd_cli.cli._hydra import start_hydra
    from ctkd_cli.cli._search import space_of
    from ctkd_cli.cli._sweep import run_jobs
    from ctkd_cli.experiment import of_jobs
    from ctkd_cli.settings import compose
    from ctkd_cli.sweep import launchers, search

    asked = read_yaml(directory / SWEEP_FILE)
    if folder := asked.get("config_dir"):
        start_hydra(Path(folder))
    plan = compose.plan(asked["overrides"])
    launchers.require(plan.launcher)
    again = f"+hydra.job.env_set.{launchers.RESUME_VARIABLE}='1'"
    if plan.sweeper != search.NAME:
        jobs = compose.jobs(plan.overrides)
        of_jobs(jobs)
        run_jobs(plan.overrides, directory, jobs, again)
        return
    of_jobs([*map(list, space_of(plan).corners())])
    run_jobs(plan.overrides, directory, plan.search["n_trials"], again)
