"""Content keys of what a run keeps: all that decides it, and nothing else."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Literal

from ctkd_cli.cache.entries import content_key
from ctkd_cli.cache.file_hash import of_code_elsewhere
from ctkd_cli.runtime import devices
from ctkd_cli.tasks.split import Split, concatenate, fingerprint
from ctkd_cli.tasks.task import Task

if TYPE_CHECKING:
    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.experiment import Experiment


Variant = Literal["trained", "generic", "random"]


def backbone_key(backbone: Backbone) -> str:
    """What decides a model before it is trained: its settings and files and, where it is from
    elsewhere, its code."""
    code = of_code_elsewhere(backbone)
    return content_key(backbone.fingerprint(), code) if code else backbone.fingerprint()


def teacher_key(experiment: Experiment, source: Task, variant: Variant = "trained") -> str:
    """What decides a teacher's weights: backbone, source data, its training, its seed."""
    teacher = experiment.teacher
    training = None
    if not teacher.fine_tuned:
        training = [teacher.training.model_dump(mode="json"), teacher.wise_ft]
    return content_key(
        backbone_key(teacher),
        source.fingerprint,
        [variant, teacher.fine_tuned, training, teacher.seed, devices.precision(experiment.device)],
    )


def stilts_key(experiment: Experiment, source: Task) -> str:
    """What decides the weights of a student that has learnt the source task."""
    training = experiment.teacher.training.model_dump(mode="json")
    return content_key(
        "stilts",
        backbone_key(experiment.student),
        source.fingerprint,
        [training, experiment.teacher.seed, devices.precision(experiment.device)],
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
