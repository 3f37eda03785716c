"""Arguments that several verbs take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ctkd_cli.errors import InputError, Problem

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings; `ctkd list` shows the groups."),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder with YAMLs of yours; they win over ours."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def use_config_dir(folder: Path | None) -> None:
    """Put a folder of the user's on the search path, for this process and its jobs."""
    from ctkd_cli.config_files import CONFIG_DIR_VARIABLE

    if folder is None:
        return
    if not folder.is_dir():
        raise InputError(
            Problem("no such folder", where="--config-dir", got=str(folder), allowed="a folder")
        )
    os.environ[CONFIG_DIR_VARIABLE] = str(folder.resolve())
