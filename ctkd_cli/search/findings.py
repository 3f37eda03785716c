"""What a search has found: the best settings by validation, with the test score beside it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ctkd_cli.errors import InputError
from ctkd_cli.rundir import SWEEP_FILE
from ctkd_cli.search import require
from ctkd_cli.search.study import open_study
from ctkd_cli.search.sweeper import OBJECTIVE

if TYPE_CHECKING:
    from optuna.study import Study

NEW_SEEDS = 5  # as many, with all controls, are proposed for the settings that were found


@dataclass(frozen=True)
class Best:
    """The best trial. validation, test, alone: macro-F1; again: how to run its settings with new
    seeds and controls."""

    number: int
    settings: Mapping[str, str]
    validation: float
    test: float
    alone: float
    again: str

    def in_words(self) -> str:
        chosen = " ".join(f"{key}={value}" for key, value in self.settings.items())
        return (
            f"Best by validation: trial {self.number}, {chosen}; validation macro-F1 "
            f"{self.validation:.3f}, test {self.test:.3f} (student alone {self.alone:.3f})."
        )


def best(study: Study, directory: Path) -> Best | None:
    """The best complete trial of a sweep's study; of equals the first."""
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if not complete:
        return None
    trial = max(complete, key=lambda each: (each.value, -each.number))
    job = directory / str(trial.number)
    metrics = json.loads((job / "metrics.json").read_text(encoding="utf-8"))
    typed = yaml.safe_load((job / "overrides.yaml").read_text(encoding="utf-8"))
    values = dict(each.lstrip("+").partition("=")[::2] for each in typed)
    settings = {key: values[key] for key in trial.params}
    return Best(
        number=trial.number,
        settings=settings,
        validation=metrics[OBJECTIVE],
        test=metrics["distilled/macro_f1"],
        alone=metrics["alone/macro_f1"],
        again=_again(typed, job),
    )


def _again(typed: Sequence[str], job: Path) -> str:
    """The trial's own overrides, with seeds that it has not seen and all controls."""
    ran = yaml.safe_load((job / "config.yaml").read_text(encoding="utf-8"))
    ours = [each for each in typed if each.partition("=")[0] not in ("seed", "seeds", "controls")]
    fresh = [f"seed={ran['seed'] + ran['seeds']}", f"seeds={NEW_SEEDS}", "controls=full"]
    return shlex.join(["ctkd", "run", *ours, *fresh])


def study_of(directory: Path) -> Study | None:
    """The study of a sweep's directory, if it was a search."""
    try:
        asked = yaml.safe_load((directory / SWEEP_FILE).read_text(encoding="utf-8"))
        settings = asked["search"]
        require()
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, InputError):
        return None
    return open_study(settings, directory)


def tell_best(directory: Path) -> None:
    """Print what a search has found, on stdout."""
    study = study_of(directory)
    found = best(study, directory) if study is not None else None
    if found is None:
        return
    print(f"\n{found.in_words()}")
    print("Chosen from many, its score on validation flatters it. With new seeds and controls:")
    print(f"  {found.again}")
