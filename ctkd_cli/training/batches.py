"""Which examples each step sees: decided before training, from a seed, and nothing else.

Labelled and unlabelled examples share a batch in fixed numbers. The labelled part is planned by
itself, so student-alone sees the same labelled examples in the same order as the distilled student
does beside its unlabelled ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.tasks.split import fingerprint

if TYPE_CHECKING:
    from ctkd_cli.tasks.task import Task
    from ctkd_cli.training.settings import Training

PASSES, FEWEST = 10, 100  # over the labelled examples, and steps, of steps=auto
WINDOW = 50  # batches among which examples of like length are grouped


@dataclass(frozen=True)
class Plan:
    """Rows for each step. labelled: [steps, n_l], unlabelled: [steps, n_u]; n_u may be 0."""

    labelled: np.ndarray
    unlabelled: np.ndarray

    def __len__(self) -> int:
        return len(self.labelled)

    def __iter__(self) -> Iterator[list[int]]:
        for labelled, unlabelled in zip(self.labelled, self.unlabelled, strict=True):
            yield [*labelled.tolist(), *unlabelled.tolist()]

    def labelled_only(self) -> Plan:
        """The same plan without its unlabelled part."""
        return Plan(self.labelled, self.unlabelled[:, :0])


def plan(
    labelled: np.ndarray,
    unlabelled: np.ndarray,
    lengths: np.ndarray,
    training: Training,
    seed: int,
) -> Plan:
    """Plan a training.

    labelled, unlabelled: rows of the split. lengths: size of each row of the split. The budget is
    the same whatever is left out of the plan later.
    """
    steps = n_steps(training, len(labelled), len(unlabelled))
    n_labelled = labelled_per_batch(training, len(labelled), len(unlabelled))
    n_unlabelled = min(training.batch_size - n_labelled, len(unlabelled))
    known = _stream(labelled, lengths, steps, n_labelled, np.random.default_rng([seed, 3]))
    others = _stream(unlabelled, lengths, steps, n_unlabelled, np.random.default_rng([seed, 4]))
    return Plan(known, _matched(others, known, lengths) if known.size and others.size else others)


def padding_share(plan: Plan, lengths: np.ndarray) -> float:
    """The share of what batches hold that is padding, when each is padded to its longest row."""
    rows = np.concatenate([plan.labelled, plan.unlabelled], axis=1)
    each = lengths[rows]
    return float(1 - each.sum() / (each.max(axis=1).sum() * rows.shape[1]))


def n_steps(training: Training, n_labelled: int, n_unlabelled: int = 0) -> int:
    """Optimiser steps of a budget: the same for every arm, whether it reads unlabelled inputs."""
    if training.steps == "auto":
        passes = PASSES * n_labelled / labelled_per_batch(training, n_labelled, n_unlabelled)
        return min(max(math.ceil(passes), FEWEST), training.max_steps)
    if training.steps is not None:
        return training.steps
    n_inputs = n_labelled + n_unlabelled
    return max(1, math.ceil(training.epochs * n_inputs / min(training.batch_size, n_inputs)))


def labelled_per_batch(training: Training, n_labelled: int, n_unlabelled: int) -> int:
    """How many labelled examples a batch holds: the setting; else their share of the inputs, but
    at least a quarter of the batch, so that few labels are still seen in every step."""
    if n_unlabelled == 0:
        return min(training.batch_size, n_labelled)
    share = round(training.batch_size * n_labelled / (n_labelled + n_unlabelled))
    wanted = training.labelled_per_batch or max(share, training.batch_size // 4, 1)
    return min(wanted, training.batch_size, n_labelled)


def as_drawn(task: Task, training: Training) -> tuple[Task, Training]:
    """A task without the unlabelled inputs that its training has no steps to draw, so that nothing
    is read, and no teacher asked, in vain; and the training, with as many labelled examples in a
    batch as before. Which inputs stay is decided by what they hold, and by no seed: the seeds of a
    run share them."""
    unlabelled = np.flatnonzero(~task.train.labels.labelled)
    n_labelled = len(task.labelled)
    known = labelled_per_batch(training, n_labelled, len(unlabelled))
    drawn = (training.batch_size - known) * n_steps(training, n_labelled, len(unlabelled))
    if drawn >= len(unlabelled):
        return task, training
    order = np.lexsort(task.train.digests[unlabelled].T)
    train = task.train.without(unlabelled[order[drawn:]])
    told = f"{drawn:,} of {len(unlabelled):,} unlabelled inputs are read: training draws no more"
    key = fingerprint(task.settings, task.labels, (train, task.validation, task.test))
    left = replace(task, train=train, fingerprint=key, notes=(*task.notes, told))
    return left, training.model_copy(update={"labelled_per_batch": known})


def _stream(
    rows: np.ndarray, lengths: np.ndarray, steps: int, size: int, generator: np.random.Generator
) -> np.ndarray:
    """[steps, size] rows: shuffled passes one after the other, grouped by length in windows."""
    if size == 0:
        return np.empty((steps, 0), dtype=np.int64)
    passes = math.ceil(steps * size / len(rows))
    stream = np.concatenate([generator.permutation(rows) for _ in range(passes)])
    stream = stream[: steps * size]
    for start in range(0, len(stream), WINDOW * size):
        window = stream[start : start + WINDOW * size]
        by_length = window[np.argsort(lengths[window], kind="stable")].reshape(-1, size)
        stream[start : start + WINDOW * size] = generator.permutation(by_length).reshape(-1)
    return stream.reshape(steps, size)


def _matched(moved: np.ndarray, fixed: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`moved` with the batches of each window in another order: as long ones beside long ones of
    `fixed` as can be, so that what shares a batch is of like length."""
    found = moved.copy()
    for start in range(0, len(moved), WINDOW):
        window = slice(start, start + WINDOW)
        longest = [lengths[each[window]].max(axis=1) for each in (fixed, moved)]
        places, batches = (np.argsort(each, kind="stable") for each in longest)
        found[window][places] = moved[window][batches]
    return found
