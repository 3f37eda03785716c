"""What is chosen by labelled examples that students have not learnt from: the arm that is handed
over (select=best_arm), and settings, of which the jobs of a sweep each have their own.

By mean log-likelihood: on validation where that has enough examples (SELECTS), else over FOLDS
parts of the labelled ones, each answered by arms that were trained on the others. Test has no part
in it. What fits into no student/, a logistic regression, is scored beside them and never handed
over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax

from ctkd_cli.errors import InputError
from ctkd_cli.evaluation.metrics import SELECTS
from ctkd_cli.tasks.draws import deal
from ctkd_cli.tasks.split import fingerprint

if TYPE_CHECKING:
    from ctkd_cli.arms.student import ArmOutputs
    from ctkd_cli.tasks.positions import Labels
    from ctkd_cli.tasks.task import Task

STAGE = "selection"
FOLDS = 3


@dataclass(frozen=True)
class Choice:
    """likelihoods: of each arm, mean in nats for a label. by: what they were measured on, in words;
    "" where nothing could be, and why."""

    arm: str
    likelihoods: Mapping[str, float]
    by: str
    why_not: str = ""

    @property
    def sentence(self) -> str:
        if not self.by:
            return f"select=best_arm: student/ holds {self.arm}, unchosen: {self.why_not}"
        return f"select=best_arm: student/ holds {self.arm}, by {self.by}"


def choose(
    task: Task,
    outputs: Mapping[str, ArmOutputs],
    candidates: Iterable[str],
    again: Callable[[Task, int], Iterable[ArmOutputs]],
) -> Choice:
    """The best of the candidates. outputs: of the arms of a run, by name; again: all of them once
    more, on the task of a part, of this number, whose test is what was left out."""
    validation = task.validation.labels
    n_known = int(validation.labelled.sum())
    if n_known >= SELECTS:
        said = {name: [arm.validation] for name, arm in outputs.items()}
        found = _means(said, [validation])
        by = f"{n_known} validation examples"
    else:
        if too_few(task):
            return Choice("distilled", {}, "", "a label has one example, and none can be left out")
        try:
            found = _cross_validated(task, again)
        except InputError as error:  # a bridge or a loss that wants more than a part has
            return Choice("distilled", {}, "", f"in a part, {error.problems[0].what}")
        by = f"{FOLDS}-fold cross-validation on {len(task.labelled)} labelled examples"
    best = max(candidates, key=lambda name: found.get(name, -np.inf))
    return Choice(best, found, by)


def likelihood(task: Task, again: Callable[[Task, int], Iterable[ArmOutputs]]) -> float | None:
    """The distilled student's mean log-likelihood of labels that were left out, by which settings
    are chosen; None where validation is large enough for that, or parts cannot be had. again: as
    `choose` has it, of this arm at least."""
    if int(task.validation.labels.labelled.sum()) >= SELECTS or too_few(task):
        return None
    try:
        return _cross_validated(task, again)["distilled"]
    except InputError:  # a bridge or a loss that wants more than a part has
        return None


def too_few(task: Task) -> bool:
    """Whether parts would leave a label without an example, or a part without any."""
    labels = task.train.labels
    counts = labels.counts(len(task.labels))
    return len(task.labelled) < FOLDS or bool(labels.offsets is None and counts.min() < 2)


def _cross_validated(
    task: Task, again: Callable[[Task, int], Iterable[ArmOutputs]]
) -> dict[str, float]:
    said: dict[str, list[np.ndarray | None]] = {}
    labels = []
    for number, part in enumerate(parts(task)):
        labels.append(part.test.labels)
        for arm in again(part, number):
            said.setdefault(arm.name, []).append(arm.logits)
    return _means(said, labels)


def parts(task: Task) -> Iterator[Task]:
    """The task with a part of its labelled examples left out, and these as its test split; nobody
    hears of their inputs meanwhile."""
    train = task.train
    folds = deal(train.labels, train.groups, FOLDS, np.random.default_rng(0))
    for number in range(FOLDS):
        rows = np.flatnonzero(folds == number)
        rest, left_out = train.without(rows), train.select(rows)
        splits = (rest, task.validation, left_out)
        key = fingerprint(task.settings, task.labels, splits)
        yield replace(task, train=rest, test=left_out, fingerprint=key)


def _means(said: Mapping[str, list[np.ndarray | None]], labels: list[Labels]) -> dict[str, float]:
    """The mean log-likelihood of all labels, by arm; of those that answered everything."""
    found = {}
    for name, logits in said.items():
        if len(logits) < len(labels) or any(each is None for each in logits):
            continue
        each = [
            log_softmax(np.asarray(one, np.float64), axis=1)[known, of.values[known]]
            for one, of in zip(logits, labels, strict=True)
            for known in [np.flatnonzero(of.values >= 0)]
        ]
        found[name] = float(np.concatenate(each).mean())
    return found
