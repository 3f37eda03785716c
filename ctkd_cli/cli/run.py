"""`ctkd run`: compose, validate everything, claim a directory, then run one job or a sweep."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from ctkd_cli import parallel
from ctkd_cli.cli._options import ConfigDir, Overrides, use_config_dir
from ctkd_cli.errors import InputError, Problem, SweepIncomplete, nearest
from ctkd_cli.rundir import SWEEP_FILE

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ctkd_cli.compose import Plan
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.search.space import Space

# Hydra's own flags that only show something. Those that would run a job are left out: a job starts
# below, validated and in a directory of its own.
SHOWS = ("--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--hydra-help")
DETAILS = ("--resolve", "--package", "-p")
OUTPUTS_VARIABLE = "CTKD_OUTPUTS"
WHOLE = "distilled/macro_f1"  # a figure that no complete run lacks


def run(
    overrides: Overrides = None,
    multirun: Annotated[
        bool, typer.Option("--multirun", "-m", help="Run every combination of comma lists.")
    ] = False,
    config_dir: ConfigDir = None,
    repeated: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Repeat a run, and say what differs."),
    ] = None,
) -> None:
    """Distil across tasks, and leave a run directory with its report.

    \b
    Examples:
      ctkd run
      ctkd run experiment=smoke
      ctkd run loss=hint lambda=0.5 seed=2
      ctkd run target=files target.train=my.csv target.label=stars
      ctkd run -m lambda=0,0.3,1 seed=1,2,3,4,5
      ctkd run -m lambda=0,0.3,1 hydra/launcher=joblib hydra.launcher.n_jobs=4
      ctkd run experiment=tune
      ctkd run --from outputs/RUN reuse=false
    Then: ctkd predict RUN_DIRECTORY texts.txt
    Tab completion: eval "$(ctkd run --shell-completion install=bash)"
    """
    from ctkd_cli import compose, launchers, search

    use_config_dir(config_dir)
    given = list(overrides or [])
    flags = [argument.partition("=")[0] for argument in given if argument.startswith("-")]
    if flags:
        _require_known(flags)
        _show([*(["-m"] if multirun else []), *given])
        return
    if repeated is not None:
        _repeat(repeated, given, multirun)
        return
    plan = compose.plan(given)
    launchers.require(plan.launcher)
    _require_own_processes(plan)
    if plan.sweeper == search.NAME and (space := _space(plan)).dimensions:
        _search(plan, space)
    elif multirun or plan.adds:
        _sweep(plan)
    else:
        _single(given)


def _require_own_processes(plan: Plan) -> None:
    """Raise InputError for torchrun together with what starts processes of its own."""
    chosen = {"hydra/launcher": plan.launcher, "hydra/sweeper": plan.sweeper}
    others = {key: option for key, option in chosen.items() if option != "basic"}
    if parallel.world() > 1 and others:
        raise InputError(
            *(
                Problem(
                    "torchrun's processes train one model after the other, together",
                    where=key,
                    got=option,
                    allowed=f"{key}=basic",
                    remedy="start it without torchrun",
                )
                for key, option in others.items()
            )
        )


def _repeat(run: Path, more: list[str], multirun: bool) -> None:
    """A run again, in a directory of its own: with its very settings, or with some changed."""
    from ctkd_cli import repeat
    from ctkd_cli.printable import printable
    from ctkd_cli.reports.results import Results

    if multirun:
        raise InputError(Problem("one run is repeated at a time", where="--from", got="--multirun"))
    Results.read(run)  # it is complete and whole
    typed = _typed_before(run)
    if more:
        directory = _single([*typed, *more])
    else:
        directory = _run_again(_read_yaml(run / "config.yaml"), typed)
    print(f"\ncompared with {printable(str(run))}:")
    for line in repeat.in_words(run, directory):
        print(f"  {printable(line)}")


def _run_again(settings: Any, typed: Sequence[str]) -> Path:
    """A run with resolved settings, in a new directory."""
    from ctkd_cli.experiment import load

    experiment = load(settings)
    directory = claim(outputs(), experiment.name)
    try:
        _carry_out(experiment, directory, typed)
    finally:
        _remove_empty([directory, directory.parent])
    return directory


def _carry_out(experiment: Experiment, directory: Path, typed: Sequence[str]) -> None:
    from ctkd_cli.door import admit

    admitted = admit(experiment, directory)  # before the imports that take seconds
    from ctkd_cli.reports import print_summary
    from ctkd_cli.run import run as run_experiment

    run_experiment(admitted, directory, typed)
    print_summary(directory)


def _typed_before(directory: Path) -> list[str]:
    """What a run was asked for; its folder of YAMLs is put on the search path again, since the
    report says how to repeat the run."""
    overrides, environment = directory / "overrides.yaml", directory / "environment.json"
    with contextlib.suppress(InputError, AttributeError):  # torn, or not there yet
        if folder := _read_yaml(environment).get("config_dir"):
            use_config_dir(Path(folder))
    return _read_yaml(overrides) or [] if overrides.exists() else []


def _single(overrides: list[str]) -> Path:
    from ctkd_cli.overrides import prepare

    (experiment,) = _validate([overrides])
    prepared = prepare(overrides)
    named = _named_by_user(overrides, "hydra.run.dir")
    new = _absent(named) if named else []
    directory = named or parallel.share(
        claim(outputs(), experiment.name) if parallel.is_main() else Path()
    )
    _failures.clear()
    try:
        _hydra([*prepared, _override("hydra.run.dir", directory)])
    finally:
        if parallel.is_main():
            _remove_empty(new if named else [directory, directory.parent])
    if _failures:
        raise _failures[0]
    return directory


def _sweep(plan: Plan) -> None:
    from ctkd_cli import compose, search

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
    experiment, *_ = _validate(jobs)
    _jobs(plan.overrides, _new_sweep(plan, experiment, {"jobs": jobs}), jobs)


def _search(plan: Plan, space: Space) -> None:
    from ctkd_cli.search import study

    experiment, *_ = _validate([*map(list, space.corners())], study.problems(plan.search))
    _require_validation(experiment)
    study.require_new(plan.search)
    directory = _new_sweep(plan, experiment, {"search": dict(plan.search)})
    _jobs(plan.overrides, directory, plan.search["n_trials"])


def _space(plan: Plan) -> Space:
    from ctkd_cli import search

    search.require()
    from ctkd_cli.search.space import Space

    return Space.read(plan.overrides, plan.search["params"])


def _require_validation(experiment: Experiment) -> None:
    """Raise InputError when there is nothing but test to choose settings on."""
    from ctkd_cli import task

    if not len(task.load(experiment.target, experiment.seed).validation):
        raise InputError(
            Problem(
                "settings are chosen on validation, never on test, and this target has no "
                "validation split",
                where="target.validation_size",
                got=str(getattr(experiment.target, "validation_size", None)),
                allowed="a number of examples per class, or a share of train",
                remedy="target.validation_size=8",
            )
        )


def _new_sweep(plan: Plan, experiment: Experiment, what: Mapping[str, Any]) -> Path:
    """A directory for a sweep, which tells what was asked for."""
    from ctkd_cli.config_files import user_config_dir
    from ctkd_cli.rundir import write_atomically

    directory = _named_by_user(plan.overrides, "hydra.sweep.dir")
    directory = directory or parallel.share(
        claim(outputs(), experiment.name) if parallel.is_main() else Path()
    )
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
    from ctkd_cli.console import WATCHED_VARIABLE
    from ctkd_cli.overrides import prepare
    from ctkd_cli.search.findings import tell_best
    from ctkd_cli.sweep import summarise
    from ctkd_cli.sweep.display import shown

    watched = f"+hydra.job.env_set.{WATCHED_VARIABLE}='{os.getpid()}'"
    try:
        with shown(directory, None if isinstance(jobs, int) else jobs):
            named = _override("hydra.sweep.dir", directory)
            _hydra(["-m", *prepare(overrides), *more, watched, named])
    except KeyboardInterrupt:
        command = f"ctkd resume {shlex.quote(str(directory))}"
        typer.echo(f"interrupted; finish the whole sweep with: {command}", err=True)
        raise
    finally:
        failed = summarise(directory) if parallel.is_main() else []
        if parallel.is_main():
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
    from ctkd_cli import compose, launchers, search

    asked = _read_yaml(directory / SWEEP_FILE)
    if folder := asked.get("config_dir"):
        use_config_dir(Path(folder))
    plan = compose.plan(asked["overrides"])
    launchers.require(plan.launcher)
    again = f"+hydra.job.env_set.{launchers.RESUME_VARIABLE}='1'"
    if plan.sweeper != search.NAME:
        jobs = compose.jobs(plan.overrides)
        _validate(jobs)
        _jobs(plan.overrides, directory, jobs, again)
        return
    _validate([*map(list, _space(plan).corners())])
    _jobs(plan.overrides, directory, plan.search["n_trials"], again)


def resume_run(directory: Path) -> None:
    """Finish a run in its own directory; a complete one is left as it is."""
    from ctkd_cli.experiment import load

    experiment = load(_read_yaml(directory / "config.yaml"))
    if is_complete(directory, experiment):
        print(f"complete already: {directory}")
        return
    _carry_out(experiment, directory, _typed_before(directory))


def is_complete(directory: Path, experiment: Experiment) -> bool:
    """Whether a run of these very settings ended well in a directory. Raises InputError when one
    is going on there."""
    from ctkd_cli.rundir import is_going_on, metrics_of, status_of

    status = status_of(directory)
    if is_going_on(status):
        raise InputError(
            Problem(
                "this run is still going on", where="DIR", got=str(directory),
                remedy=f"wait for process {status['pid']}, or stop it first",
            )
        )  # fmt: skip
    if status.get("status") != "complete" or WHOLE not in metrics_of(directory):
        return False
    config = directory / "config.yaml"
    return bool(_read_yaml(config) == experiment.model_dump(mode="json", by_alias=True))


def _read_yaml(path: Path) -> Any:
    """Raises InputError when the file is damaged."""
    from ctkd_cli.plain_data import require_bounded

    try:
        text = path.read_text(encoding="utf-8")
        require_bounded(text)
        return yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(
            Problem(
                f"{path.name} is damaged",
                where="DIR",
                got=f"{path}: {error}",
                remedy="ctkd run, with the same settings: what was complete is in the cache",
            )
        ) from None


def _validate(jobs: Sequence[Sequence[str]], others: Sequence[Problem] = ()) -> list[Experiment]:
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


def _require_known(flags: Sequence[str]) -> None:
    """Raise InputError for flags that are neither ours nor among those of Hydra that show."""
    unknown = [flag for flag in flags if flag not in (*SHOWS, *DETAILS)]
    if not unknown and not set(flags) & set(SHOWS):
        unknown = list(flags)  # details of nothing
    if unknown:
        raise InputError(
            *(
                Problem(
                    "unknown option",
                    where="ctkd run",
                    got=flag,
                    allowed="-m, --config-dir, --debug; of Hydra's: --cfg, --info, "
                    "--shell-completion, --hydra-help",
                    nearest=nearest(flag, ["--multirun", "--config-dir", "--debug", *SHOWS]),
                    remedy="ctkd run --help",
                )
                for flag in unknown
            )
        )


def outputs() -> Path:
    """The folder in which runs get their directories."""
    return Path(os.environ.get(OUTPUTS_VARIABLE) or "outputs")


def _named_by_user(overrides: Sequence[str], key: str) -> Path | None:
    """The directory that an override names. Raises InputError when a run lies there already."""
    for override in overrides:
        name, _, value = override.lstrip("+").partition("=")
        if name == key:
            directory = Path(value.strip("'\""))
            _require_free(directory, key)
            return directory
    return None


def _require_free(directory: Path, key: str) -> None:
    if any((directory / name).exists() for name in ("status.json", SWEEP_FILE, "multirun.yaml")):
        raise InputError(
            Problem(
                "a run lies in this directory already, and nothing is written over",
                where=key,
                got=str(directory),
                remedy="another directory, or none: ctkd chooses a new one",
            )
        )


def claim(root: Path, name: str) -> Path:
    """A new directory of our own, named by time and name; two runs never get the same."""
    stamp = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{name}"
    for attempt in range(1, 10_000):
        directory = root / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise _not_writable(error) from None
        return directory
    raise AssertionError("ten thousand runs in one second")


def _not_writable(error: OSError) -> InputError:
    return InputError(
        Problem(
            "the output folder cannot be written",
            where="hydra.run.dir",
            got=f"{error.filename}: {error.strerror}",
            remedy="hydra.run.dir=FOLDER, or start ctkd in another folder",
        )
    )


def _override(key: str, directory: Path) -> str:
    path = str(directory).replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{path}'"


def _show(arguments: list[str]) -> None:
    """Let Hydra show its configuration, or complete a word for the shell."""
    completes = any(flag in arguments for flag in ("--shell-completion", "-sc"))
    if completes and (line := os.environ.get("COMP_LINE")):
        program, _, rest = line.lstrip().partition(" ")
        _verb, space, words = rest.lstrip().partition(" ")
        if not space:
            return  # still at the verb, of which Hydra has not heard
        os.environ["COMP_LINE"] = f"{program} {words}"
    _hydra(arguments)


def _hydra(arguments: list[str]) -> None:
    """Hand over to Hydra, whose launchers and sweepers call `_job`."""
    import hydra
    from hydra.errors import HydraException

    from ctkd_cli.compose import CONFIG_NAME
    from ctkd_cli.config_files import register_plugins

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
        raise _not_writable(error) from error
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

    from ctkd_cli.compose import SWEEP
    from ctkd_cli.door import admit
    from ctkd_cli.experiment import load
    from ctkd_cli.launchers import RESUME_VARIABLE
    from ctkd_cli.overrides import as_typed
    from ctkd_cli.pruning import Pruned
    from ctkd_cli.rundir import metrics_of, write_refusal
    from ctkd_cli.search import OBJECTIVE

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
                return metrics_of(directory).get(OBJECTIVE, float("nan"))
        else:
            _require_free(directory, key)  # once more: its name may have been ${...} until now
        admitted = admit(experiment, directory)  # before the imports that take seconds
        from ctkd_cli.reports import print_summary
        from ctkd_cli.run import run as run_experiment

        with _judged(job, experiment):
            metrics = run_experiment(admitted, directory, typed)
        if job.mode is not RunMode.MULTIRUN and parallel.is_main():
            print_summary(directory)  # a sweep shows its jobs together
        return metrics.get(OBJECTIVE, float("nan"))
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

    from ctkd_cli import search

    if job.mode is not RunMode.MULTIRUN or job.runtime.choices["hydra/sweeper"] != search.NAME:
        yield
        return
    from ctkd_cli.search.judge import judged

    settings: Any = OmegaConf.to_container(job.sweeper)
    with judged(settings, Path(job.sweep.dir), job.job.num, experiment.seeds):
        yield


def _absent(directory: Path) -> list[Path]:
    """What must be made for a directory to be there, the innermost first."""
    return [folder for folder in (directory, *directory.parents) if not folder.exists()]


def _remove_empty(folders: Sequence[Path]) -> None:
    """A run that was refused leaves nothing behind. folders: the innermost first."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
