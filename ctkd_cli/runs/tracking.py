"""Experiment trackers, through the Trainer's own integrations; off by default.

Each training (teacher, and every arm and seed) is a run of the tracker, named after the run
directory and the arm. Where trackers keep what they hear is theirs to say (MLFLOW_TRACKING_URI,
WANDB_PROJECT, ...); TensorBoard's files go into the run directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ctkd_cli.errors import InputError, Problem

Tracker = Literal["none", "tensorboard", "mlflow", "wandb", "trackio"]
PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}  # others are called as their tracker
PROJECT = "ctkd"


def require(tracker: Tracker) -> None:
    """Raise InputError when the tracker's package is not installed."""
    packages = PACKAGES.get(tracker, (tracker,))
    if tracker != "none" and not any(find_spec(package) for package in packages):
        raise InputError(
            Problem(
                f"the package of tracker={tracker} is not installed",
                where="tracker",
                got=tracker,
                remedy=f"pip install {packages[0]}",
            )
        )


@contextmanager
def tracked(tracker: Tracker, directory: Path, title: str) -> Iterator[None]:
    """One training under a tracker. directory: the run's."""
    defaults = {
        "tensorboard": {"TENSORBOARD_LOGGING_DIR": str(directory / "tensorboard" / title)},
        "mlflow": {"MLFLOW_EXPERIMENT_NAME": PROJECT},
        "wandb": {"WANDB_PROJECT": PROJECT},
    }.get(tracker, {})
    with _environment(defaults, over=tracker == "tensorboard"):
        yield
    if tracker == "wandb":  # the others end their run when a training ends
        import wandb  # type: ignore[import-not-found, unused-ignore]

        wandb.finish()


@contextmanager
def _environment(variables: Mapping[str, str], over: bool) -> Iterator[None]:
    """Environment variables that are set while this lasts; over: what the user has set too."""
    before = {name: os.environ.get(name) for name in variables}
    for name, value in variables.items():
        if over or before[name] is None:
            os.environ[name] = value
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
