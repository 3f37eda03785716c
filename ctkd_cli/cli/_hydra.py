"""Hydra in this process: what it knows of ours, and its own command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.cli._directories import not_writable
from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from hydra.types import TaskFunction


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


def hydra_main(arguments: list[str], job: TaskFunction) -> None:
    """Hydra's own command line: launchers and sweepers, which call `job`, and flags that show."""
    import hydra
    from hydra.errors import HydraException

    from ctkd_cli.settings.compose import CONFIG_NAME
    from ctkd_cli.settings.config_files import register_plugins

    register_plugins()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # our errors come through as they are
    started_with = sys.argv
    sys.argv = ["ctkd", *arguments]
    try:
        hydra.main(version_base="1.3", config_path=None, config_name=CONFIG_NAME)(job)()
    except HydraException as error:
        raise InputError(
            Problem("Hydra cannot do this", where="command line", got=str(error))
        ) from error
    except OSError as error:  # jobs keep theirs; this is about the directory, which Hydra makes
        key = "hydra.sweep.dir" if "-m" in arguments else "hydra.run.dir"
        raise not_writable(error, key, f"{key}=FOLDER, or none: ctkd chooses one") from error
    finally:
        sys.argv = started_with
