"""In which ways teachers are adapted to a target, and what it takes; nothing is loaded for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task
    from ctkd_cli.training.settings import Way

STAGE = "adaptation"
TRAINED = ("fine_tune", "contrastive")  # ways by which features learn
PASSES = 10  # over the labelled examples
FEWEST, MOST = 50, 200  # steps
BATCH = 16  # examples of a step: with 32 the student was no better, and fewer steps were worse


def why_not(experiment: Experiment, target: Task) -> str:
    """Why features of teachers cannot learn from a target; "" where they can."""
    if not any("features" in loss.needs for loss, _ in experiment.loss.parts()):
        return "no loss reads features"
    if target.train.labels.offsets is not None:
        return "examples have several labels each"
    if len(target.labelled) == len(target.train):
        return "every input has a label, so an adapted teacher had nothing to say"
    return ""


def ways_of(experiment: Experiment, target: Task) -> tuple[Way, ...]:
    """In which teachers are adapted to a target: those asked for, as far as they can be gone."""
    asked = experiment.teacher.ways(len(target.labelled))
    if not why_not(experiment, target):
        return asked
    return tuple(way for way in asked if way not in TRAINED) or ("none",)


def titles(experiment: Experiment, target: Task, teacher: str) -> list[str]:
    """Of the stages in which a teacher learns; teacher: its own title."""
    ways = ways_of(experiment, target)
    each = (title(teacher, way, ways) for way in ways if way in TRAINED)
    return [f"{STAGE} {name}".strip() for name in each]


def title(teacher: str, way: Way, ways: Collection[Way]) -> str:
    """What tells the training of a teacher in a way from others."""
    several = sum(each in TRAINED for each in ways) > 1
    return " ".join(word for word in (teacher, way if several else "") if word)


def n_steps(n_labelled: int) -> int:
    """Of a teacher that learns in one way."""
    return int(np.clip(PASSES * n_labelled // BATCH, FEWEST, MOST))
