"""Content keys of what a run keeps: all that decides it, and nothing else."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Literal

from ctkd_cli import devices, environment
from ctkd_cli.cache import content_key
from ctkd_cli.split import Split, concatenate, fingerprint
from ctkd_cli.task import Task

if TYPE_CHECKING:
    from ctkd_cli.arms import Arm
    from ctkd_cli.experiment import Experiment


Variant = Literal["trained", "generic", "random"]


def teacher_key(experiment: Experiment, source: Task, variant: Variant = "trained") -> str:
    """What decides a teacher's weights: backbone, source data, its training, its seed."""
    teacher = experiment.teacher
    training = None if teacher.fine_tuned else teacher.training.model_dump(mode="json")
    return content_key(
        teacher.fingerprint(),
        source.fingerprint,
        [variant, teacher.fine_tuned, training, teacher.seed, devices.precision(experiment.device)],
    )


def stilts_key(experiment: Experiment, source: Task) -> str:
    """What decides the weights of a student that has learnt the source task."""
    training = experiment.teacher.training.model_dump(mode="json")
    return content_key(
        "stilts",
        experiment.student.fingerprint(),
        source.fingerprint,
        [training, experiment.teacher.seed, devices.precision(experiment.device)],
    )


def arm_key(experiment: Experiment, target: Task, arm: Arm, keep_model: bool) -> str:
    """What decides a trained student and its answers, the code that computes among it."""
    student, training = experiment.student, experiment.training
    hears = arm.hears if arm.terms and experiment.lambda_ > 0 else None
    schedule = experiment.schedule.model_dump(mode="json")
    parts = [experiment.schedule, experiment.bridge, *(loss for loss, _ in experiment.loss.parts())]
    return content_key(
        "arm",
        environment.code_hash(student, target.settings, *parts),
        student.fingerprint(),
        target.fingerprint,
        [training.model_dump(mode="json"), experiment.seed, devices.precision(experiment.device)],
        hears and [hears, experiment.lambda_, schedule, experiment.on_conflict],
        [arm.label_smoothing, arm.start and arm.start.parent.name, keep_model],
    )


def knowledge_key(experiment: Experiment, teacher: str, inputs: Split) -> str:
    """What decides a knowledge store: the teacher and the target inputs it reads. Labels have no
    part in it, so seeds that draw other labelled examples share one store."""
    read = fingerprint(experiment.target, (), [inputs.without_labels()])
    return content_key(teacher, read, devices.precision(experiment.device))


def target_pool(*targets: Task) -> Split:
    """What students may train on, without labels and in an order that no seed decides. targets:
    one task, as several seeds draw it."""
    pool = reduce(concatenate, (split for t in targets for split in (t.train, t.validation)))
    return pool.select(pool.ids.first_of_each()).without_labels()
