"""The study: Optuna's record of trials, in a file that outlives any process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctkd_cli.errors import InputError, Problem, nearest
from ctkd_cli.runs.atomic import write_atomically

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study

JOURNAL = "optuna.journal"
SAMPLERS = ("tpe", "gp", "random")
PRUNERS = ("median", "none")


def open_study(settings: Mapping[str, Any], directory: Path) -> Study:
    """The study of a sweep, made when it is not there. settings: those of `hydra.sweeper`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=_storage(settings["storage"] or str(directory / JOURNAL)),
        study_name=settings["study_name"] or directory.name,
        direction="maximize",
        load_if_exists=True,
        sampler=sampler(settings["sampler"], 0),
        pruner=_pruner(settings["pruner"]),
    )


def sampler(settings: Mapping[str, Any], number: int) -> BaseSampler:
    """A sampler for one trial. Its seed comes from ours and the trial's number, so that a study
    that was interrupted goes on as if it had not been."""
    from optuna import samplers

    seed = int(np.random.SeedSequence([settings["seed"], number]).generate_state(1)[0])
    if settings["name"] == "random":
        return samplers.RandomSampler(seed=seed)
    known = {"tpe": samplers.TPESampler, "gp": samplers.GPSampler}[settings["name"]]
    return known(seed=seed, n_startup_trials=settings["n_startup_trials"])


def _pruner(settings: Mapping[str, Any]) -> BasePruner:
    from optuna import pruners

    if settings["name"] == "none":
        return pruners.NopPruner()
    return pruners.MedianPruner(
        n_startup_trials=settings["n_startup_trials"], n_warmup_steps=settings["n_warmup_steps"]
    )


def _storage(where: str) -> BaseStorage | str:
    """A journal file, or a database by its URL."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return where if "://" in where else JournalStorage(JournalFileBackend(where))


def mend(settings: Mapping[str, Any], directory: Path) -> None:
    """Cut off a last line of the journal that a full disk or a power cut has left half-written:
    Optuna would add to it. For the sweep itself, while no job runs."""
    file = Path(settings["storage"] or directory / JOURNAL)
    if "://" in str(settings["storage"]) or not file.exists():
        return
    text = file.read_bytes()
    if not text.endswith(b"\n"):
        write_atomically(file, text[: text.rfind(b"\n") + 1])


def problems(settings: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the settings of `hydra.sweeper`, beside the space."""
    found = [
        Problem(
            f"unknown {part}", where=f"hydra.sweeper.{part}.name", got=str(settings[part]["name"]),
            allowed=", ".join(known), nearest=nearest(str(settings[part]["name"]), known),
        )
        for part, known in (("sampler", SAMPLERS), ("pruner", PRUNERS))
        if settings[part]["name"] not in known
    ]  # fmt: skip
    for key in ("n_trials", "n_jobs"):
        if settings[key] < 1:
            found.append(
                Problem(
                    f"{key} has a value that it cannot take", where=f"hydra.sweeper.{key}",
                    got=str(settings[key]), allowed="at least 1",
                )
            )  # fmt: skip
    return found


def require_new(settings: Mapping[str, Any]) -> None:
    """Raise InputError when a study of that name is in the storage already. One without a name is
    called as its sweep's directory, which is new."""
    if not settings["storage"] or not settings["study_name"]:
        return
    import optuna

    storage, name = _storage(settings["storage"]), settings["study_name"]
    if name in optuna.get_all_study_names(storage=storage):
        raise InputError(
            Problem(
                "this storage has a study of that name already, and nothing is written over",
                where="hydra.sweeper.study_name", got=name,
                remedy="another name; or ctkd resume SWEEP to go on with a study",
            )
        )  # fmt: skip
