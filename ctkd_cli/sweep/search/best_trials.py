"""The study behind a sweep, and how to judge the best of its trials."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ctkd_cli.errors import InputError
from ctkd_cli.runs.rundir import SWEEP_FILE
from ctkd_cli.sweep.search import require
from ctkd_cli.sweep.search.study import open_study

if TYPE_CHECKING:
    from optuna.study import Study

NEW_SEEDS = 5  # as many, with all controls, are proposed for the settings that were found


def study_of(directory: Path) -> Study | None:
    """The study of a sweep's directory, if it was a search."""
    try:
        asked = yaml.safe_load((directory / SWEEP_FILE).read_text(encoding="utf-8"))
        settings = asked["search"]
        require()
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, InputError):
        return None
    return open_study(settings, directory)


def tell_best(directory: Path) -> None:
    """Print how to judge what a search has found, on stdout; the sweep's own table has shown it."""
    study = study_of(directory)
    complete = [] if study is None else [t for t in study.trials if t.state.name == "COMPLETE"]
    if not complete:
        return
    number = max(complete, key=lambda trial: (trial.value, -trial.number)).number
    print(f"\nThe best of many is in part luck. Trial {number} with new seeds and all controls:")
    print(f"  {_again(directory / str(number))}")


def _again(job: Path) -> str:
    """The trial's own overrides, with seeds that it has not seen and all controls."""
    typed = yaml.safe_load((job / "overrides.yaml").read_text(encoding="utf-8"))
    ran = yaml.safe_load((job / "config.yaml").read_text(encoding="utf-8"))
    ours = [each for each in typed if each.partition("=")[0] not in ("seed", "seeds", "controls")]
    fresh = [f"seed={ran['seed'] + ran['seeds']}", f"seeds={NEW_SEEDS}", "controls=full"]
    return shlex.join(["ctkd", "run", *ours, *fresh])
