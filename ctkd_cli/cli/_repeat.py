"""A run once more, in a directory of its own: with its very settings, or with some changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ctkd_cli.cli._directories import claim, outputs, read_yaml, remove_empty
from ctkd_cli.cli._hydra import start_hydra
from ctkd_cli.cli._single import carry_out, single
from ctkd_cli.errors import InputError, Problem


def repeat(run: Path, more: list[str], multirun: bool) -> None:
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.reports import repeat
    from ctkd_cli.runs.printable import printable
    from ctkd_cli.settings import compose

    if multirun:
        raise InputError(Problem("one run is repeated at a time", where="--from", got="--multirun"))
    before = Results.read(run)  # it is complete and whole
    typed = typed_before(run)
    if more:
        directory = single(compose.attempt([*typed, *more]))
    else:
        directory = _run_again(read_yaml(run / "config.yaml"), typed)
    print(f"\ncompared with {printable(str(run))}:")
    for line in repeat.in_words(before, Results(directory)):
        print(f"  {printable(line)}")


def _run_again(settings: Any, typed: Sequence[str]) -> Path:
    """A run with resolved settings, in a new directory."""
    from ctkd_cli.experiment import load

    experiment = load(settings)
    directory = claim(outputs(), experiment.name)
    try:
        carry_out(experiment, directory, typed)
    finally:
        remove_empty([directory, directory.parent])
    return directory


def typed_before(directory: Path) -> list[str]:
    """What a run was asked for; its folder of YAMLs is put on the search path again, since the
    report says how to repeat the run."""
    overrides, environment = directory / "overrides.yaml", directory / "environment.json"
    with suppress(InputError, AttributeError):  # torn, or not there yet
        if folder := read_yaml(environment).get("config_dir"):
            start_hydra(Path(folder))
    return read_yaml(overrides) or [] if overrides.exists() else []
