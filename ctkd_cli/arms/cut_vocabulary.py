"""Students that know the words of their task and no others (student.vocabulary=target).

Half of a small student is word embeddings of tokens that never occur. Before any arm is trained the
student is written anew, with the tokens that the inputs at hand hold: the target's, labelled or not
and whatever a seed does with them, and the sources'; not test. Every arm of the student's
architecture begins there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.arms.keys import backbone_key, target_pool
from ctkd_cli.cache.entries import Cache, content_key
from ctkd_cli.tasks.split import fingerprint

if TYPE_CHECKING:
    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.experiment import AnyStudent, Experiment
    from ctkd_cli.runs.rundir import RunDirectory
    from ctkd_cli.tasks.kinds.base import Kind
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
    read = [(experiment.target, target_pool(*targets))]
    read += [(source.settings, source.train.without_labels()) for source in sources]
    folder, kept = cut(student, experiment.target, read)
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


def cut(
    student: Backbone, target: Kind, read: Sequence[tuple[Kind, Split]]
) -> tuple[Path, np.ndarray]:
    """A folder with a student that knows the tokens of these inputs, each as its kind has it, and
    what it kept, [V], ids of the student's."""
    key = content_key("cut", backbone_key(student), [fingerprint(k, (), [s]) for k, s in read])

    def make(folder: Path) -> None:
        each = [_tokens(student, kind, split) for kind, split in read]
        ids, counts = np.unique(np.concatenate(each), return_counts=True)
        student.write_cut(ids, counts / counts.sum(), target, folder)

    folder, _ = Cache("students").get(key, make)
    return folder, np.load(folder / "kept.npy")


def _tokens(student: Backbone, kind: Kind, split: Split) -> np.ndarray:
    """The ids of all tokens of a split's inputs, of long ones too."""
    tokenizer = student.preprocessor()
    whole = min(tokenizer.model_max_length, LONGEST)
    uncut = kind.model_copy(update={"max_length": whole})
    encoded = uncut.encode(split.inputs, tokenizer, split.digests)
    return np.concatenate([np.asarray(row["input_ids"]) for row in encoded.rows])


def _unknown(student: Backbone, target: Task, kept: np.ndarray) -> float:
    """The share of test examples with tokens that do not stay."""
    kind, test = target.settings, target.test
    rows = kind.encode(test.inputs, student.preprocessor(), test.digests).rows
    return float(np.mean([not np.isin(row["input_ids"], kept).all() for row in rows]))
