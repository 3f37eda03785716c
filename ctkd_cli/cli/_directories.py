"""Directories of runs and sweeps: named by the user or claimed, free, and what lies in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runs.rundir import SWEEP_FILE
from ctkd_cli.runtime import parallel

if TYPE_CHECKING:
    from ctkd_cli.experiment import Experiment

OUTPUTS_VARIABLE = "CTKD_OUTPUTS"
WHOLE = "distilled/accuracy"  # a figure that no complete run lacks


def outputs() -> Path:
    """The folder in which runs get their directories. Raises InputError for a home that is not
    there, and for a name that settings cannot hold."""
    named = Path(os.environ.get(OUTPUTS_VARIABLE) or "outputs")
    try:
        named = named.expanduser()
    except RuntimeError as error:
        raise InputError(
            Problem("there is no such home", where=OUTPUTS_VARIABLE, got=f"{named} ({error})",
                    remedy=f"{OUTPUTS_VARIABLE}=FOLDER ctkd run ...")
        ) from None  # fmt: skip
    require_nameable(named, OUTPUTS_VARIABLE)
    return named


def claim_for_all(name: str) -> Path:
    """A new directory in the folder of outputs; of several processes the first one claims it."""
    return parallel.share(claim(outputs(), name) if parallel.is_main() else Path())


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
            remedy = "CTKD_OUTPUTS=FOLDER ctkd run ..., or start ctkd in another folder"
            raise not_writable(error, OUTPUTS_VARIABLE, remedy) from None
        return directory
    raise AssertionError("ten thousand runs in one second")


def named_by_user(overrides: Sequence[str], key: str) -> Path | None:
    """The directory that an override names. Raises InputError when a run lies there already."""
    for override in overrides:
        name, _, value = override.lstrip("+").partition("=")
        if name == key:
            directory = Path(value.strip("'\""))
            if not directory.is_absolute():
                require_nameable(Path(), key)
            require_free(directory, key)
            return directory
    return None


def require_nameable(directory: Path, key: str) -> None:
    """Raise InputError for a folder whose name settings cannot hold: they are UTF-8, and `${` in
    them is a reference."""
    try:
        path = str(directory.absolute())
    except OSError as error:  # the folder that we are in is gone
        raise not_writable(error, key, "cd FOLDER, one that is there") from None
    shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if shown == path and "${" not in path:
        return
    raise InputError(
        Problem(
            "runs cannot be kept in a folder of this name",
            where=key,
            got=shown,
            allowed="a path in UTF-8, without ${",
            remedy="CTKD_OUTPUTS=FOLDER ctkd run ..., with another folder",
        )
    )


def require_free(directory: Path, key: str) -> None:
    if any((directory / name).exists() for name in ("status.json", SWEEP_FILE, "multirun.yaml")):
        raise InputError(
            Problem(
                "a run lies in this directory already, and nothing is written over",
                where=key,
                got=str(directory),
                remedy="another directory, or none: ctkd chooses a new one",
            )
        )


def not_writable(error: OSError, where: str, remedy: str) -> InputError:
    """where: the setting, or the variable, that names the folder."""
    return InputError(
        Problem(
            "the output folder cannot be written",
            where=where,
            got=f"{error.filename}: {error.strerror}",
            remedy=remedy,
        )
    )


def is_complete(directory: Path, experiment: Experiment) -> bool:
    """Whether a run of these very settings ended well in a directory. Raises InputError when one
    is going on there."""
    from ctkd_cli.runs.rundir import is_going_on, metrics_of, status_of

    status = status_of(directory)
    if is_going_on(status):
        raise InputError(
            Problem(
                "this run is still going on", where="DIR", got=str(directory),
                remedy=f"wait for process {status['pid']}, or stop it first",
            )
        )  # fmt: skip
    if status.get("status") != "complete" or WHOLE not in metrics_of(directory):
        return False
    config = directory / "config.yaml"
    return bool(read_yaml(config) == experiment.model_dump(mode="json", by_alias=True))


def read_yaml(path: Path) -> Any:
    """Raises InputError when the file is damaged."""
    from ctkd_cli.settings.plain_data import require_bounded

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


def absent(directory: Path) -> list[Path]:
    """What must be made for a directory to be there, the innermost first."""
    return [folder for folder in (directory, *directory.parents) if not folder.exists()]


def remove_empty(folders: Sequence[Path]) -> None:
    """A run that was refused leaves nothing behind. folders: the innermost first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
