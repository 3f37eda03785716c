"""`ctkd run`: one run, a sweep, a search, or a run again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctkd_cli.cli._hydra import hydra_main, start_hydra
from ctkd_cli.cli._options import ConfigDir, Overrides
from ctkd_cli.errors import InputError, Problem, nearest
from ctkd_cli.runtime import parallel

if TYPE_CHECKING:
    from ctkd_cli.settings.compose import Plan

# Hydra's own flags that only show something. Those that would run a job are left out: a job starts
# below, validated and in a directory of its own.
SHOWS = ("--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--hydra-help")
DETAILS = ("--resolve", "--package", "-p")


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
    from ctkd_cli.cli._repeat import repeat
    from ctkd_cli.cli._search import search, space_of
    from ctkd_cli.cli._single import single
    from ctkd_cli.cli._sweep import sweep
    from ctkd_cli.settings import compose
    from ctkd_cli.sweep import launchers
    from ctkd_cli.sweep.search import NAME

    start_hydra(config_dir)
    given = list(overrides or [])
    flags = [argument.partition("=")[0] for argument in given if argument.startswith("-")]
    if flags:
        _require_known(flags)
        _show([*(["-m"] if multirun else []), *given])
        return
    if repeated is not None:
        repeat(repeated, given, multirun)
        return
    plan = compose.plan(given)
    launchers.require(plan.launcher)
    _require_own_processes(plan)
    if plan.sweeper == NAME and (space := space_of(plan)).dimensions:
        search(plan, space)
    elif multirun or plan.adds:
        sweep(plan)
    else:
        single(plan.composed or compose.attempt(given))


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


def _show(arguments: list[str]) -> None:
    """Let Hydra show its configuration, or complete a word for the shell."""
    completes = any(flag in arguments for flag in ("--shell-completion", "-sc"))
    if completes and (line := os.environ.get("COMP_LINE")):
        program, _, rest = line.lstrip().partition(" ")
        _verb, space, words = rest.lstrip().partition(" ")
        if not space:
            return  # still at the verb, of which Hydra has not heard
        os.environ["COMP_LINE"] = f"{program} {words}"
    hydra_main(arguments, lambda config: None)
