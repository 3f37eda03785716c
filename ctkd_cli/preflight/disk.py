"""Whether what a run keeps fits on its disks; asked before anything is made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli.arms.keys import teacher_key
from ctkd_cli.cache import eviction
from ctkd_cli.cache.entries import Cache
from ctkd_cli.cache.places import cache_root, writable
from ctkd_cli.errors import InputError, Problem

if TYPE_CHECKING:
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task

BYTES = 4  # of a weight
CHECKPOINT = 3  # weights for each of a model's in a checkpoint: itself, and AdamW's two moments
WHILE_TRAINING = 2 * CHECKPOINT  # the last checkpoint stays until the next one is whole
SAID = 4096  # bytes of what a teacher says of one input, about
REST = 50 * 10**6  # reports, predictions, arms


def require(
    experiment: Experiment, taught: Mapping[str, Task], target: Task, directory: Path
) -> None:
    """Raise InputError when a disk is too small for the run."""
    eviction.limit()
    student = BYTES * experiment.student.size().parameters
    places = {
        "CTKD_CACHE": (
            writable(cache_root(), cache_root()),
            (2 + WHILE_TRAINING) * student + _of_teachers(experiment, taught, target),
        ),
        "hydra.run.dir": (directory, student),
    }
    problems = []
    for where, (folder, needed) in places.items():
        free = shutil.disk_usage(_there(folder)).free
        if free < needed + REST:
            problems.append(
                Problem(
                    "the disk is too small for this run",
                    where=where,
                    got=f"{eviction.size_in_words(free)} free at {folder}",
                    allowed=f"about {eviction.size_in_words(needed + REST)}",
                    remedy=f"ctkd cache clear --older-than 1d, or {where}=FOLDER on another disk",
                )
            )
    if problems:
        raise InputError(*problems)
    cache_root().mkdir(parents=True, exist_ok=True)


def _of_teachers(experiment: Experiment, taught: Mapping[str, Task], target: Task) -> int:
    """Bytes of the teachers that are not there yet, and of what all of them say."""
    teachers = Cache("teachers").folder
    new = sum(not (teachers / teacher_key(experiment, task)).exists() for task in taught.values())
    copies = 2 if experiment.teacher.training.select == "best" else 1
    training = WHILE_TRAINING if new and not experiment.teacher.fine_tuned else 0  # one by one
    said = SAID * sum(len(split) for split in target.splits().values()) * len(taught)
    return (new * copies + training) * BYTES * experiment.teacher.size().parameters + said


def _there(folder: Path) -> Path:
    """The nearest folder that is there, on the way up."""
    folder = folder.absolute()
    return next(above for above in (folder, *folder.parents) if os.path.exists(above))
