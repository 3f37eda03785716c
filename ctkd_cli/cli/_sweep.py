"""A sweep: its jobs are all validated, then each runs in a directory of its own, through Hydra."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml

from ctkd_cli.cli._directories import claim_for_all, named_by_user
from ctkd_cli.cli._hydra import hydra_main
from ctkd_cli.errors import InputError, Problem, SweepIncomplete
from ctkd_cli.runs.rundir import SWEEP_FILE
from ctkd_cli.runtime import parallel
from ctkd_cli.settings.literals import quoted

if TYPE_CHECKING:
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.settings.compose import Plan


def sweep(plan: Plan) -> None:
    from ctkd_cli.experiment import of_jobs
    from ctkd_cli.settings import compose
    from ctkd_cli.sweep import search

    if plan.sweeper == search.NAME:
        raise InputError(
            Problem(
                "there is nothing to search",
                where="hydra/sweeper",
                allowed="at least one range of values, such as "
                "'lambda=tag(log,interval(0.1,10))' or 'loss=choice(hint,probe_kl)'",
                remedy="ctkd run experiment=tune",
            )
        )
    jobs = compose.jobs(plan.overrides)
    experiment, *_ = of_jobs(jobs)
    run_jobs(plan.overrides, new_sweep(plan, experiment, {"jobs": jobs}), jobs)


def new_sweep(plan: Plan, experiment: Experiment, what: Mapping[str, Any]) -> Path:
    """A directory for a sweep, which tells what was asked for."""
    from ctkd_cli.runs.atomic import write_atomically
    from ctkd_cli.settings.config_files import user_config_dir

    directory = named_by_user(plan.overrides, "hydra.sweep.dir")
    directory = directory or claim_for_all(experiment.name)
    if not parallel.is_main():
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    asked = {"overrides": list(plan.overrides), "config_dir": user_config_dir(), **what}
    write_atomically(directory / SWEEP_FILE, yaml.safe_dump(asked, allow_unicode=True))
    return directory


def run_jobs(
    overrides: Sequence[str], directory: Path, jobs: Sequence[Sequence[str]] | int, *more: str
) -> None:
    """Let Hydra run the jobs of a sweep. jobs: the overrides of each, or how many there will be.
    Raises SweepIncomplete when some did not end."""
    from ctkd_cli.cli._job import run_job
    from ctkd_cli.reports.sweep_summary import summarise
    from ctkd_cli.runs.console import WATCHED_VARIABLE
    from ctkd_cli.settings.overrides import prepare
    from ctkd_cli.sweep.display import shown
    from ctkd_cli.sweep.search.best_trials import tell_best

    watched = f"+hydra.job.env_set.{WATCHED_VARIABLE}='{os.getpid()}'"
    named = f"hydra.sweep.dir={quoted(str(directory))}"
    try:
        with shown(directory, None if isinstance(jobs, int) else jobs):
            hydra_main(["-m", *prepare(overrides), *more, watched, named], run_job)
    except KeyboardInterrupt:
        command = f"ctkd resume {shlex.quote(str(directory))}"
        typer.echo(f"interrupted; finish the whole sweep with: {command}", err=True)
        raise
    finally:
        failed = []
        if parallel.is_main():
            failed = summarise(directory)
            tell_best(directory)
    n_jobs = jobs if isinstance(jobs, int) else len(jobs)
    n_failed = max(len(failed), n_jobs - sum(1 for _ in directory.glob("**/status.json")))
    if n_failed and parallel.is_main():
        first = f"; the first is {failed[0].name}" if failed else ", and left no word"
        raise SweepIncomplete(
            f"{n_failed} of {n_jobs} jobs did not end{first}\n"
            f"  remedy:  ctkd resume {shlex.quote(str(directory))}"
        )
