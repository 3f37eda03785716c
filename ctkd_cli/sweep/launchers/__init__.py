"""Where the jobs of a sweep run: other processes, other machines. One file per launcher.

They are Hydra launchers (`hydra/launcher=joblib`). Hydra's own plugins of these names were tried
first (docs/sweeps.md says what they lack); the keys are theirs where the meaning is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.sweep.launchers.base import RESUME_VARIABLE, Launcher, add_plugin
from ctkd_cli.sweep.launchers.joblib import JoblibLauncher, JoblibSettings
from ctkd_cli.sweep.launchers.ray import RayLauncher, RaySettings
from ctkd_cli.sweep.launchers.submitit import (
    LocalLauncher,
    LocalSettings,
    SlurmLauncher,
    SlurmSettings,
)

__all__ = ["RESUME_VARIABLE", "register", "require"]


@dataclass(frozen=True)
class _Known:
    """package: what the launcher is made of; extra: how to ask pip for it."""

    launcher: type[Launcher]
    settings: type
    package: str
    extra: str


LAUNCHERS = {
    "joblib": _Known(JoblibLauncher, JoblibSettings, "joblib", "joblib"),
    "submitit_local": _Known(LocalLauncher, LocalSettings, "submitit", "submitit"),
    "submitit_slurm": _Known(SlurmLauncher, SlurmSettings, "submitit", "submitit"),
    "ray": _Known(RayLauncher, RaySettings, "ray", "ray"),
}


def register() -> None:
    """Make the launchers known to Hydra in this process."""
    for name, known in LAUNCHERS.items():
        add_plugin(known.launcher, "hydra/launcher", name, known.settings)


def require(name: str) -> None:
    """Raise InputError when what a launcher is made of is not installed."""
    known = LAUNCHERS.get(name)
    if known is not None and find_spec(known.package) is None:
        raise InputError(
            Problem(
                f"{known.package} is not installed",
                where="hydra/launcher",
                got=name,
                remedy=f'pip install "ctkd[{known.extra}]"',
            )
        )
