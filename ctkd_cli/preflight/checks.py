"""What is asked of an experiment before a run begins, the cheapest first: settings that are refused
here have trained nothing and left nothing, and have not waited for the heavy imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.arms import sources as source_side
from ctkd_cli.cache.entries import require_writable
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.preflight import compatibility, disk
from ctkd_cli.runs import tracking
from ctkd_cli.tasks import task as tasks
from ctkd_cli.training.batches import as_drawn

if TYPE_CHECKING:
    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.fold import Fold
    from ctkd_cli.tasks.settings import AnyTask
    from ctkd_cli.tasks.task import Task


@dataclass(frozen=True)
class Checked:
    """An experiment with its data. taught: the source tasks that get a teacher each. seed_runs: the
    experiment of each seed, and again for each of its folds; targets: the target task as each draws
    it."""

    experiment: Experiment
    sources: Mapping[str, Task]
    taught: Mapping[str, Task]
    seed_runs: Sequence[Experiment]
    targets: Sequence[Task]


def check(experiment: Experiment, directory: Path) -> Checked:
    """directory: of the run. Raises InputError when settings, data, models and machine do not go
    together."""
    tracking.require(experiment.tracker)
    require_writable()  # before corpora are read, which lie there
    sources = source_side.load(experiment)
    seed_runs, targets = [], []
    for each in experiment.seed_runs():
        for fold in each.parts:
            seed_run, target = target_of(each, fold)
            seed_runs.append(seed_run)
            targets.append(target)
    taught = source_side.taught(experiment, sources)
    for target in targets:
        compatibility.require(experiment, taught, target)
    _require_device(experiment)
    _require_sound_models(experiment)
    disk.require(experiment, taught, targets[0], directory)
    return Checked(experiment, sources, taught, seed_runs, targets)


def target_of(experiment: Experiment, fold: Fold | None) -> tuple[Experiment, Task]:
    """The target as the experiment's seed draws it and its training reads it, and the experiment
    that goes with it."""
    loaded = tasks.load(experiment.target, experiment.seed, fold)
    target, training = as_drawn(loaded, experiment.training)
    return experiment.model_copy(update={"training": training}), target


# Models that were found sound in this process, by content and kind of task: a fact of the files,
# which the jobs of a sweep need to look at once.
_sound: set[tuple[str, str]] = set()


def _require_sound_models(experiment: Experiment) -> None:
    """Configurations and tokenizers of both models, then, which takes longer, their weights."""
    from ctkd_cli.runs.console import hush_libraries

    hush_libraries()
    source, *_ = experiment.sources.values()
    reads: list[tuple[Backbone, AnyTask]] = [
        (experiment.teacher, source),
        (experiment.student, experiment.target),
    ]
    new = [
        (m, kind) for m, kind in reads if not _sound or (m.fingerprint(), kind.kind) not in _sound
    ]
    sound = [model.require_sound for model, _ in new]
    for checks in (sound, [partial(model.require_fitting, kind) for model, kind in new]):
        problems: list[Problem] = []
        for require in checks:
            try:
                require()
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(*problems)
    _sound.update((model.fingerprint(), kind.kind) for model, kind in reads)


def _require_device(experiment: Experiment) -> None:
    from ctkd_cli.runtime import devices

    devices.resolve(experiment.device)
