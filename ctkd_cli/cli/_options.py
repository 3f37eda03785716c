"""Arguments that several verbs take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ctkd_cli.errors import InputError, Problem

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="Settings; `ctkd list GROUP OPTION` shows an option's."
    ),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder with YAMLs of yours; they win over ours."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def start_hydra(folder: Path | None) -> None:
    """Make our launchers and our search known to Hydra in this process, and a folder of the user's
    part of its search path, here and in jobs elsewhere."""
    from ctkd_cli.settings.config_files import CONFIG_DIR_VARIABLE
    from ctkd_cli.sweep import launchers, search

    launchers.register()
    search.register()
    if folder is None:
        return
    if not folder.is_dir():
        raise InputError(
            Problem("no such folder", where="--config-dir", got=str(folder), allowed="a folder")
        )
    os.environ[CONFIG_DIR_VARIABLE] = str(folder.resolve())
