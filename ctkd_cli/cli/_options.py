"""Arguments that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
