"""A single run: composed and validated once, in a directory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.cli._directories import (
    absent,
    claim_for_all,
    not_writable,
    remove_empty,
    require_free,
    require_nameable,
)
from ctkd_cli.runtime import parallel

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ctkd_cli.experiment import Experiment
    from ctkd_cli.settings.compose import Composed


def single(composed: Composed) -> Path:
    """Run what a command line asks for. Returns the run's directory."""
    from ctkd_cli.experiment import of_composed
    from ctkd_cli.settings.compose import RUN_DIR
    from ctkd_cli.settings.overrides import as_typed

    experiment = of_composed(composed)
    if named := composed.run_dir:
        if not named.is_absolute():
            require_nameable(Path(), RUN_DIR)
        require_free(named, RUN_DIR)
    directory = named or claim_for_all(experiment.name)
    new = absent(directory) if named else [directory, directory.parent]
    typed = as_typed(composed.config.hydra.overrides.task)

    def job(_: DictConfig) -> Exception | None:
        """Hydra would print an exception in its own way, so it is returned."""
        try:
            carry_out(experiment, whole, typed)
        except Exception as error:
            return error
        return None

    whole = directory.absolute()  # Hydra may change the folder
    try:
        failure = composed.run(job, directory)
    except OSError as error:  # the job's own are returned; this is about the directory
        remedy = f"{RUN_DIR}=FOLDER, or none: ctkd chooses one"
        raise not_writable(error, RUN_DIR, remedy) from error
    finally:
        if parallel.is_main():
            remove_empty(new)
    if failure is not None:
        raise failure
    return directory


def carry_out(experiment: Experiment, directory: Path, typed: Sequence[str]) -> None:
    """Run an experiment, and show how it went. typed: what the user asked for."""
    from ctkd_cli.preflight.checks import check

    checked = check(experiment, directory)  # before the imports that take seconds
    from ctkd_cli.reports import print_summary
    from ctkd_cli.run import run as run_experiment

    run_experiment(checked, directory, typed)
    if parallel.is_main():
        print_summary(directory)
