"""Students that know the words of their task and no others (student.vocabulary=target).

Half of a small student is word embeddings of tokens that never occur. Before any arm is trained the
student is written anew, with the tokens that train of the target (labelled and unlabelled) and of
the sources hold; every arm of the student's architecture begins there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.cache.entries import Cache, content_key

if TYPE_CHECKING:
    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.experiment import AnyStudent, Experiment
    from ctkd_cli.runs.rundir import RunDirectory
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task

LONGEST = 100_000  # tokens of a text that are looked at


def student_of(
    experiment: Experiment, targets: Sequence[Task], sources: Sequence[Task], rundir: RunDirectory
) -> AnyStudent:
    """The experiment's student, with fewer tokens where it asks for that. targets: the target as
    each seed draws it."""
    student = experiment.student
    if not student.cuts_vocabulary:
        return student
    tasks = [*targets, *sources]
    key = content_key("cut", student.fingerprint(), [task.fingerprint for task in tasks])

    def make(folder: Path) -> None:
        each = [_tokens(student, task, task.train) for task in tasks]
        ids, counts = np.unique(np.concatenate(each), return_counts=True)
        student.write_cut(ids, counts / counts.sum(), experiment.target, folder)

    folder, _ = Cache("students").get(key, make)
    kept = np.load(folder / "kept.npy")
    new = student.lying_in(folder)
    before, after = student.size().parameters, new.size().parameters
    unknown = _unknown(student, targets[0], kept)
    told = (
        f"the student knows {len(kept):,} tokens: {before / 1e6:.1f} -> {after / 1e6:.1f} million "
        f"parameters; {unknown:.1%} of test examples hold others, which are read in smaller pieces"
    )
    rundir.tell(told)
    rundir.event("student", "vocabulary", sentence=told)
    return new


def _tokens(student: Backbone, task: Task, split: Split) -> np.ndarray:
    """The ids of all tokens of a split's inputs, of long ones too."""
    tokenizer = student.preprocessor()
    whole = min(tokenizer.model_max_length, LONGEST)
    kind = task.settings.model_copy(update={"max_length": whole})
    encoded = kind.encode(split.inputs, tokenizer, split.digests)
    return np.concatenate([np.asarray(row["input_ids"]) for row in encoded.rows])


def _unknown(student: Backbone, target: Task, kept: np.ndarray) -> float:
    """The share of test examples with tokens that do not stay."""
    kind, test = target.settings, target.test
    rows = kind.encode(test.inputs, student.preprocessor(), test.digests).rows
    return float(np.mean([not np.isin(row["input_ids"], kept).all() for row in rows]))
