"""`ctkd run`: compose, validate everything, claim a directory, then run one job or a sweep."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from ctkd_cli.cli._options import ConfigDir, Overrides, use_config_dir
from ctkd_cli.errors import InputError, Problem, SweepIncomplete, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ctkd_cli.experiment import Experiment

# Hydra's own flags that only show something. Those that would run a job are left out: a job starts
# below, validated and in a directory of its own.
SHOWS = ("--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--hydra-help")
DETAILS = ("--resolve", "--package", "-p")
OUTPUTS_VARIABLE = "CTKD_OUTPUTS"
RESUME_VARIABLE = "CTKD_RESUME"  # set for the jobs of a sweep that is resumed
OBJECTIVE = "distilled/macro_f1"  # what a sweeper would maximise
SWEEP_FILE = "sweep.yaml"  # what a sweep was asked for


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
      ctkd run --from outputs/RUN reuse=false
    Then: ctkd predict RUN_DIRECTORY texts.txt
    Tab completion: eval "$(ctkd run --shell-completion install=bash)"
    """
    from ctkd_cli import compose

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
    swept = compose.swept(given)
    if multirun or swept:
        _sweep([*given, *swept])
    else:
        _single(given)


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
    directory = named or claim(outputs(), experiment.name)
    _failures.clear()
    try:
        _hydra([*prepared, _override("hydra.run.dir", directory)])
    finally:
        _remove_empty(new if named else [directory, directory.parent])
    if _failures:
        raise _failures[0]
    return directory


def _sweep(overrides: list[str]) -> None:
    from ctkd_cli.compose import jobs
    from ctkd_cli.config_files import user_config_dir
    from ctkd_cli.rundir import write_atomically

    experiments = _validate(jobs(overrides))
    named = _named_by_user(overrides, "hydra.sweep.dir")
    directory = named or claim(outputs(), experiments[0].name)
    directory.mkdir(parents=True, exist_ok=True)
    asked = {"overrides": overrides, "config_dir": user_config_dir()}
    write_atomically(directory / SWEEP_FILE, yaml.safe_dump(asked, allow_unicode=True))
    _jobs(overrides, directory, len(experiments))


def _jobs(overrides: list[str], directory: Path, n_jobs: int, *more: str) -> None:
    """Let Hydra run the jobs of a sweep. Raises SweepIncomplete when some did not end."""
    from ctkd_cli.overrides import prepare
    from ctkd_cli.sweep import summarise

    _failures.clear()
    try:
        _hydra(["-m", *prepare(overrides), *more, _override("hydra.sweep.dir", directory)])
    except KeyboardInterrupt:
        command = f"ctkd resume {shlex.quote(str(directory))}"
        typer.echo(f"interrupted; finish the whole sweep with: {command}", err=True)
        raise
    finally:
        failed = summarise(directory)
    if failed:
        raise SweepIncomplete(
            f"{len(failed)} of {n_jobs} jobs did not end; the first is {failed[0].name}\n"
            f"  remedy:  ctkd resume {shlex.quote(str(directory))}"
        )
    if _failures:  # of a job that may not even leave word in its directory
        raise _failures[0]


def resume_sweep(directory: Path) -> None:
    """Run the jobs of a sweep that are not complete. Raises as `run` does."""
    from ctkd_cli.compose import jobs

    asked = _read_yaml(directory / SWEEP_FILE)
    if folder := asked.get("config_dir"):
        use_config_dir(Path(folder))
    overrides = asked["overrides"]
    n_jobs = len(_validate(jobs(overrides)))
    _jobs(overrides, directory, n_jobs, f"+hydra.job.env_set.{RESUME_VARIABLE}='1'")


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
    if status.get("status") != "complete" or OBJECTIVE not in metrics_of(directory):
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


def _validate(jobs: Sequence[Sequence[str]]) -> list[Experiment]:
    """Every job's settings, or all problems of all jobs at once."""
    from ctkd_cli.experiment import of_overrides

    experiments: list[Experiment] = []
    problems: list[Problem] = []
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


_failures: list[Exception] = []  # of jobs that ran in this process


def _job(config: DictConfig) -> float:
    """One job of a sweep, or the only one. Returns what a sweeper would maximise.

    Failures are kept from Hydra, which would print them in its own way and, in a sweep, stop: the
    job's status.json tells of them.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from ctkd_cli.compose import SWEEP
    from ctkd_cli.door import admit
    from ctkd_cli.experiment import load
    from ctkd_cli.overrides import as_typed
    from ctkd_cli.rundir import metrics_of, write_refusal

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
                return metrics_of(directory)[OBJECTIVE]
        else:
            _require_free(directory, key)  # once more: its name may have been ${...} until now
        admitted = admit(experiment, directory)  # before the imports that take seconds
        from ctkd_cli.reports import print_summary
        from ctkd_cli.run import run as run_experiment

        metrics = run_experiment(admitted, directory, typed)
        print_summary(directory, brief=job.mode is RunMode.MULTIRUN)
        return metrics[OBJECTIVE]
    except Exception as error:
        _failures.append(error)
        if job.mode is RunMode.MULTIRUN and not (directory / "status.json").exists():
            write_refusal(directory, typed, str(error))
        return float("nan")


def _absent(directory: Path) -> list[Path]:
    """What must be made for a directory to be there, the innermost first."""
    return [folder for folder in (directory, *directory.parents) if not folder.exists()]


def _remove_empty(folders: Sequence[Path]) -> None:
    """A run that was refused leaves nothing behind. folders: the innermost first."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
