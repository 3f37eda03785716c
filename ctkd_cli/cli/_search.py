"""A search for settings: a sweep whose jobs a study chooses, on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctkd_cli.cli._sweep import new_sweep, run_jobs
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.experiment import of_jobs

if TYPE_CHECKING:
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.settings.compose import Plan
    from ctkd_cli.sweep.search.space import Space


def search(plan: Plan, space: Space) -> None:
    from ctkd_cli.sweep.search import study

    experiment, *_ = of_jobs([*map(list, space.corners())], study.problems(plan.search))
    _require_validation(experiment)
    study.require_new(plan.search)
    directory = new_sweep(plan, experiment, {"search": dict(plan.search)})
    run_jobs(plan.overrides, directory, plan.search["n_trials"])


def space_of(plan: Plan) -> Space:
    from ctkd_cli.sweep import search

    search.require()
    from ctkd_cli.sweep.search.space import Space

    return Space.read(plan.overrides, plan.search["params"])


def _require_validation(experiment: Experiment) -> None:
    """Raise InputError when there is nothing but test to choose settings on."""
    from ctkd_cli.arms import selection
    from ctkd_cli.tasks import task

    target = experiment.target
    loaded = task.load(target, experiment.seed)
    if not len(loaded.validation) and selection.too_few(loaded):
        raise InputError(
            Problem(
                "settings are chosen by labels that students have not seen, never on test, and "
                "this target has no validation split and too few labels to leave some out",
                where="target.validation_size",
                got=str(target.validation_size),
                allowed="a number of examples per class, or a share of train",
                remedy="target.validation_size=1",
            )
        )
