"""What a run will cost, from shapes and a moment's measurement; no model is built."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.arms import _setfit, selection, ways
from ctkd_cli.arms.keys import teacher_key
from ctkd_cli.cache.entries import Cache
from ctkd_cli.training.batches import labelled_per_batch, n_steps

if TYPE_CHECKING:
    from ctkd_cli.backbones.base import ModelSize
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task
    from ctkd_cli.training.settings import Training

EFFICIENCY = 0.6  # share of the GEMM rate that a training step reaches, attention and padding in
STEP_OVERHEAD = 0.02  # seconds per step outside model arithmetic
LONG = 180.0  # seconds
STATIC = 10.0  # seconds in which an encoder reads some ten thousand tokens, each by itself
TRAINING_COST = 3  # forward and backward, in forward passes
BYTES_PER_PARAMETER = 16  # weights, gradients and two moments, fp32


@dataclass(frozen=True)
class Estimate:
    """seconds per stage; memory in bytes, at the peak of the larger model's training."""

    seconds: dict[str, float]
    memory: float

    @property
    def is_long(self) -> bool:
        """Whether one would like to know of a quicker way."""
        return sum(self.seconds.values()) > LONG

    @property
    def sentence(self) -> str:
        """`94 s on an idle CPU like this one (teacher 62 s, ...)`; stages that take none left
        out."""
        parts = [f"{stage} {took:.0f} s" for stage, took in self.seconds.items() if took >= 0.5]
        total = sum(self.seconds.values())
        return f"{total:.0f} s on an idle CPU like this one ({', '.join(parts)})"


def estimate(
    experiment: Experiment,
    sources: Mapping[str, Task],
    target: Task,
    heard: Collection[str] = (),
) -> Estimate:
    """Rough: within a factor of two on an idle machine. `sources` get a teacher each, unless the
    cache has it; what those named in `heard` have to say is there too."""
    rate = EFFICIENCY * gemm_rate()
    teacher, student = experiment.teacher.size(), experiment.student.size()
    n_target, n_labelled = len(target.train), len(target.labelled)
    training, lessons = experiment.training, experiment.teacher.training

    def train(size: ModelSize, task: Task, budget: Training, batch: int) -> float:
        n_inputs, known = len(task.train), len(task.labelled)
        flops = TRAINING_COST * size.flops_per_unit * _units(task) * min(batch, n_inputs)
        return n_steps(budget, known, n_inputs - known) * (flops / rate + STEP_OVERHEAD)

    alone_batch = labelled_per_batch(training, n_labelled, n_target - n_labelled)
    alone = train(student, target, training, alone_batch)
    distilled = train(student, target, training, training.batch_size)
    reading = teacher.flops_per_unit * _units(target) * n_target / rate  # by one teacher
    on_source = {
        name: (
            train(teacher, source, lessons, lessons.batch_size),
            train(student, source, lessons, lessons.batch_size),
        )
        for name, source in sources.items()
    }
    to_train = [] if experiment.teacher.fine_tuned else _not_kept(experiment, sources)
    knowledge = reading * len(sources)
    of_test = knowledge * len(target.test) / n_target
    # What is made once, and what each seed takes; stilts pays for the source for both of its arms.
    controls = {
        "stilts": (sum(student for _, student in on_source.values()), alone),
        "stilts_distilled": (0.0, distilled),
        "generic_teacher": (knowledge, distilled),
        "random_teacher": (knowledge, distilled),
        "shuffled_teacher": (0.0, distilled),
        "label_smoothing": (0.0, alone),
        "probe": (0.0, 0.0),
        "features": (knowledge + of_test, 0.0),
    }
    rivals = _rivals(experiment, target, rate)
    without = {"without each source": (0.0, distilled * len(sources))} if len(sources) > 1 else {}
    read = student.flops_per_unit * _units(target) * len(target.test) / rate  # by each student
    flops = TRAINING_COST * teacher.flops_per_unit * _units(target) * ways.BATCH
    adapting = ways.n_steps(n_labelled) * (flops / rate + STEP_OVERHEAD) + reading
    n_adapted = len(ways.titles(experiment, target, "")) * len(sources)
    arms = {
        "adaptation": (0.0, adapting * n_adapted),
        "student alone": (0.0, alone + read),
        "student distilled": (0.0, distilled + read),
        **without,
        **{f"control {name}": controls[name] for name in experiment.controls.arms},
        **{f"rival {name}": rivals[name] for name in experiment.controls.rivals},
    }
    if experiment.select == "best_arm":  # every arm once more for each part, with the first seed
        again = sum(each for _, each in arms.values())
        parts = selection.FOLDS / experiment.seeds / len(experiment.parts)
        arms["selection"] = (0.0, parts * again)
    seconds = {
        "teacher": sum(on_source[name][0] for name in to_train),
        "knowledge": reading * len(set(sources) - set(heard)),
        **{
            name: once + each * experiment.seeds * len(experiment.parts)
            for name, (once, each) in arms.items()
        },
        "evaluation": 4 + of_test,
    }
    parameters = max(teacher.parameters, student.parameters)
    return Estimate(seconds, BYTES_PER_PARAMETER * parameters + 1.0e9)


def _rivals(experiment: Experiment, target: Task, rate: float) -> dict[str, tuple[float, float]]:
    """The same of rivals: test is read once, what is labelled by each seed."""
    n_labelled, n_test = len(target.labelled), len(target.test)
    found = {"tfidf": (0.0, 0.0), "static": (STATIC, 0.0)}
    for body, tuned, size in (
        ("untuned", "setfit_teacher", experiment.teacher.size()),
        ("cut_body", "setfit", experiment.student.size()),
    ):
        reading = size.flops_per_unit * _units(target) / rate  # of an example
        found[body] = (n_test * reading, n_labelled * reading)
        pairs = TRAINING_COST * 2 * _setfit.BATCH * _setfit.n_steps(n_labelled)
        found[tuned] = (0.0, (pairs + n_test) * reading)
        if _setfit.why_not():
            found[tuned] = (0.0, 0.0)
    return found


def _not_kept(experiment: Experiment, sources: Mapping[str, Task]) -> list[str]:
    """The sources whose teacher is not in the cache."""
    kept = Cache("teachers").folder
    return [
        name
        for name, source in sources.items()
        if not (kept / teacher_key(experiment, source)).exists()
    ]


@cache
def gemm_rate() -> float:
    """FLOP/s of a float32 matrix product on this machine's CPU: the best of twenty, a tenth of a
    second in all; measured once in a process."""
    size = 768
    first = np.ones((size, size), np.float32)
    second = first.copy()
    best = np.inf
    for _ in range(20):
        began = time.perf_counter()
        first @ second
        best = min(best, time.perf_counter() - began)
    return float(2 * size**3 / best)


def _units(task: Task) -> float:
    """Mean size of an example as a model reads it."""
    rows = task.train.inputs.select(range(min(500, len(task.train))))
    return float(np.mean(task.settings.units(rows)))
