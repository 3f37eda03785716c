"""From a command line to jobs: all validated, each in a directory of its own, run by Hydra."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml

from ctkd_cli.cli._directories import (
    absent,
    claim_for_all,
    is_complete,
    named_by_user,
    not_writable,
    read_yaml,
    remove_empty,
    require_free,
)
from ctkd_cli.cli._options import start_hydra
from ctkd_cli.errors import InputError, Problem, SweepIncomplete
from ctkd_cli.runs.rundir import SWEEP_FILE
from ctkd_cli.runtime import parallel, variables
from ctkd_cli.settings.literals import quoted

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ctkd_cli.experiment import Experiment
    from ctkd_cli.settings.compose import Plan
    from ctkd_cli.sweep.search.space import Space
    from ctkd_cli.tasks.task import AnyTask


def single(overrides: list[str]) -> Path:
    from ctkd_cli.settings.overrides import prepare

    (experiment,) = validate([overrides])
    prepared = prepare(overrides)
    named = named_by_user(overrides, "hydra.run.dir")
    new = absent(named) if named else []
    directory = named or claim_for_all(experiment.name)
    _failures.clear()
    try:
        hand_over([*prepared, _override("hydra.run.dir", directory)])
    finally:
        if parallel.is_main():
            remove_empty(new if named else [directory, directory.parent])
    if _failures:
        raise _failures[0]
    return directory


def sweep(plan: Plan) -> None:
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
    experiment, *_ = validate(jobs)
    _jobs(plan.overrides, _new_sweep(plan, experiment, {"jobs": jobs}), jobs)


def search(plan: Plan, space: Space) -> None:
    from ctkd_cli.sweep.search import study

    experiment, *_ = validate([*map(list, space.corners())], study.problems(plan.search))
    _require_validation(experiment)
    study.require_new(plan.search)
    directory = _new_sweep(plan, experiment, {"search": dict(plan.search)})
    _jobs(plan.overrides, directory, plan.search["n_trials"])


def space_of(plan: Plan) -> Space:
    from ctkd_cli.sweep import search

    search.require()
    from ctkd_cli.sweep.search.space import Space

    return Space.read(plan.overrides, plan.search["params"])


def _require_validation(experiment: Experiment) -> None:
    """Raise InputError when there is nothing but test to choose settings on."""
    from ctkd_cli.tasks import task

    target = experiment.target
    if not len(task.load(target, experiment.seed).validation):
        raise InputError(
            Problem(
                "settings are chosen on validation, never on test, and this target has no "
                "validation split",
                where="target.validation_size",
                got=str(target.validation_size),
                allowed="a number of examples per class, or a share of train",
                remedy=f"target.validation_size={_affordable(target, experiment.seed)}",
            )
        )


def _affordable(target: AnyTask, seed: int) -> int:
    """Examples per class, 8 at most, that can be set aside with some left to train on."""
    from ctkd_cli.tasks import task

    for size in (8, 4, 2):
        with contextlib.suppress(InputError):
            asked = target.model_copy(update={"validation_size": size})
            found = task.load(asked, seed).counts()
            if min(found["train"].values()) >= size:
                return size
    return 1


def _new_sweep(plan: Plan, experiment: Experiment, what: Mapping[str, Any]) -> Path:
    """A directory for a sweep, which tells what was asked for."""
    from ctkd_cli.runs.rundir import write_atomically
    from ctkd_cli.settings.config_files import user_config_dir

    directory = named_by_user(plan.overrides, "hydra.sweep.dir")
    directory = directory or claim_for_all(experiment.name)
    if not parallel.is_main():
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    asked = {"overrides": list(plan.overrides), "config_dir": user_config_dir(), **what}
    write_atomically(directory / SWEEP_FILE, yaml.safe_dump(asked, allow_unicode=True))
    return directory


def _jobs(
    overrides: Sequence[str], directory: Path, jobs: Sequence[Sequence[str]] | int, *more: str
) -> None:
    """Let Hydra run the jobs of a sweep. jobs: the overrides of each, or how many there will be.
    Raises SweepIncomplete when some did not end."""
    from ctkd_cli.reports.sweep_summary import summarise
    from ctkd_cli.runs.console import WATCHED_VARIABLE
    from ctkd_cli.settings.overrides import prepare
    from ctkd_cli.sweep.display import shown
    from ctkd_cli.sweep.search.best_trials import tell_best

    watched = f"+hydra.job.env_set.{WATCHED_VARIABLE}='{os.getpid()}'"
    try:
        with shown(directory, None if isinstance(jobs, int) else jobs):
            named = _override("hydra.sweep.dir", directory)
            hand_over(["-m", *prepare(overrides), *more, watched, named])
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


def resume_sweep(directory: Path) -> None:
    """Run the jobs of a sweep that are not complete. Raises as `run` does."""
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
        validate(jobs)
        _jobs(plan.overrides, directory, jobs, again)
        return
    validate([*map(list, space_of(plan).corners())])
    _jobs(plan.overrides, directory, plan.search["n_trials"], again)


def validate(jobs: Sequence[Sequence[str]], others: Sequence[Problem] = ()) -> list[Experiment]:
    """Every job's settings, or all problems of all jobs at once, with those found by others."""
    from ctkd_cli.experiment import of_overrides

    experiments: list[Experiment] = []
    problems = list(others)
    for overrides in jobs:
        try:
            experiments.append(of_overrides(overrides))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return experiments


def _override(key: str, directory: Path) -> str:
    return f"{key}={quoted(str(directory))}"


def hand_over(arguments: list[str]) -> None:
    """Hand over to Hydra, whose launchers and sweepers call `_job`."""
    import hydra
    from hydra.errors import HydraException

    from ctkd_cli.settings.compose import CONFIG_NAME
    from ctkd_cli.settings.config_files import register_plugins

    register_plugins()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # our errors come through as they are
    started_with = sys.argv
    sys.argv = ["ctkd", *arguments]
    try:
        hydra.main(version_base="1.3", config_path=None, config_name=CONFIG_NAME)(_job)()
    except HydraException as error:
        raise InputError(
            Problem("Hydra cannot do this", where="command line", got=str(error))
        ) from error
    except OSError as error:  # jobs keep theirs; this is about the directory, which Hydra makes
        key = "hydra.sweep.dir" if "-m" in arguments else "hydra.run.dir"
        raise not_writable(error, key, f"{key}=FOLDER, or none: ctkd chooses one") from error
    finally:
        sys.argv = started_with


_failures: list[Exception] = []  # of a run in this process; a sweep's are told by its files


def _job(config: DictConfig) -> float:
    """One job of a sweep, or the only one. Returns its score, for sweepers that ask for it.

    Failures are kept from Hydra, which would print them in its own way and, in a sweep, stop: the
    job's status.json tells of them.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from ctkd_cli.experiment import load
    from ctkd_cli.preflight.checks import admit
    from ctkd_cli.runs.pruning import Pruned
    from ctkd_cli.runs.rundir import write_refusal
    from ctkd_cli.settings.compose import SWEEP
    from ctkd_cli.settings.overrides import as_typed
    from ctkd_cli.sweep.launchers import RESUME_VARIABLE
    from ctkd_cli.sweep.search import objective

    variables.remove()  # this may be another machine than the one that was asked
    job = HydraConfig.get()
    directory = Path(job.runtime.output_dir)
    key = "hydra.sweep.dir" if job.mode is RunMode.MULTIRUN else "hydra.run.dir"
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    settings.pop(SWEEP, None)
    typed = as_typed(job.overrides.task)
    try:
        experiment = load({str(key): value for key, value in settings.items()})
        if os.environ.get(RESUME_VARIABLE):
            if is_complete(directory, experiment):
                return objective(directory)
        else:
            require_free(directory, key)  # once more: its name may have been ${...} until now
        admitted = admit(experiment, directory)  # before the imports that take seconds
        from ctkd_cli.reports import print_summary
        from ctkd_cli.run import run as run_experiment

        with _judged(job, experiment):
            run_experiment(admitted, directory, typed)
        if job.mode is not RunMode.MULTIRUN and parallel.is_main():
            print_summary(directory)  # a sweep shows its jobs together
        return objective(directory) if parallel.is_main() else float("nan")
    except Pruned:
        return float("nan")
    except Exception as error:
        if parallel.world() > 1:
            raise  # the other processes wait for this one, until it ends
        _failures.append(error)
        if job.mode is RunMode.MULTIRUN and not (directory / "status.json").exists():
            write_refusal(directory, typed, str(error))
        return float("nan")


@contextlib.contextmanager
def _judged(job: Any, experiment: Experiment) -> Iterator[None]:
    """A trial of a search may be pruned; other jobs may not. job: Hydra's settings of it."""
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from ctkd_cli.sweep import search

    if job.mode is not RunMode.MULTIRUN or job.runtime.choices["hydra/sweeper"] != search.NAME:
        yield
        return
    from ctkd_cli.sweep.search.judge import judged

    settings: Any = OmegaConf.to_container(job.sweeper)
    with judged(settings, Path(job.sweep.dir), job.job.num, experiment.seeds):
        yield
