"""The search for good settings: `hydra/sweeper=optuna`, on current Optuna by ask and tell.

Settings are chosen by what the task is judged by, on validation only: a test set that settings
were chosen on tells nothing any more.
"""

from __future__ import annotations

from importlib.util import find_spec

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.sweep.launchers.base import add_plugin
from ctkd_cli.sweep.search.sweeper import NAME, OptunaSweeper, SearchSettings, objective

__all__ = ["NAME", "objective", "register", "require"]


def register() -> None:
    """Make the sweeper known to Hydra in this process."""
    add_plugin(OptunaSweeper, "hydra/sweeper", NAME, SearchSettings)


def require() -> None:
    """Raise InputError when Optuna is not installed."""
    if find_spec("optuna") is None:
        raise InputError(
            Problem(
                "optuna is not installed", where="hydra/sweeper", got=NAME,
                remedy='pip install "ctkd[optuna]"',
            )
        )  # fmt: skip
