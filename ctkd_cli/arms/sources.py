"""The source side of a run: one task, several, or several made into one; and their teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.tasks import task as tasks
from ctkd_cli.tasks.split import Split, concatenate, fingerprint
from ctkd_cli.tasks.task import Task

if TYPE_CHECKING:
    from ctkd_cli.arms.keys import Variant
    from ctkd_cli.arms.teacher import Teacher
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory

SINGLE = "source"  # the name of the only source


def load(experiment: Experiment) -> dict[str, Task]:
    """Every source task, by name. Raises InputError with the problems of all."""
    found: dict[str, Task] = {}
    problems: list[Problem] = []
    for name, settings in experiment.sources.items():
        try:
            found[name] = tasks.load(settings, experiment.seed)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return found


def taught(experiment: Experiment, sources: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks that get a teacher each: all, or with fusion=merge the one made of them."""
    if experiment.fusion != "merge" or len(sources) == 1:
        return dict(sources)
    return {SINGLE: merge(sources)}


def ask_teachers(
    experiment: Experiment,
    sources: Mapping[str, Task],
    inputs: Split,
    rundir: RunDirectory,
    variant: Variant = "trained",
) -> dict[str, tuple[Teacher, Knowledge]]:
    """A teacher for each task, and what it says of target inputs."""
    from ctkd_cli.arms.teacher import extract_knowledge, load_teacher

    several = len(sources) > 1
    found = {}
    for name, source in sources.items():
        teacher = load_teacher(experiment, name, source, rundir, variant, named=several)
        found[name] = teacher, extract_knowledge(experiment, teacher, inputs, rundir)
    return found


def merge(sources: Mapping[str, Task]) -> Task:
    """One task with the labels and examples of all. A label that several have is one label: name
    them alike with source.NAME.labels={theirs: ours}.

    Raises InputError when the tasks are not of one kind.
    """
    first, *others = sources.values()
    if any(task.settings.kind != first.settings.kind for task in others):
        raise InputError(
            Problem(
                "sources of several kinds cannot be merged",
                where="fusion",
                got=", ".join(f"{name}: {task.settings.kind}" for name, task in sources.items()),
                remedy="fusion=leep, which keeps a teacher for each",
            )
        )
    labels = tuple(dict.fromkeys(label for task in sources.values() for label in task.labels))
    splits = {
        part: reduce(
            concatenate,
            (_renamed(task.splits()[part], name, task, labels) for name, task in sources.items()),
        )
        for part in ("train", "validation", "test")
    }
    in_test = np.flatnonzero(np.isin(splits["train"].keys, splits["test"].keys))
    train = splits["train"].without(in_test)
    notes = [f"{name}: {note}" for name, task in sources.items() for note in task.notes]
    if len(in_test):
        notes.append(f"{len(in_test)} examples of train left out: another source's test holds them")
    return Task(
        settings=first.settings,
        labels=labels,
        train=train,
        validation=splits["validation"],
        test=splits["test"],
        fingerprint=fingerprint(
            first.settings, labels, (train, splits["validation"], splits["test"])
        ),
        notes=tuple(notes),
        merged=tuple(task.settings for task in sources.values()),
    )


def _renamed(split: Split, name: str, task: Task, labels: tuple[str, ...]) -> Split:
    """A source's split with ids of its own and label numbers of the merged task."""
    numbers = [labels.index(label) for label in task.labels]
    ids = split.ids.prefixed(f"{name}/")
    return replace(split, ids=ids, labels=split.labels.renumbered(numbers))
