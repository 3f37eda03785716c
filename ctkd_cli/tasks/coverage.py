"""Whether every label has the examples that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.tasks.scarcity import SHOWN, counted, too_few, without_absent

if TYPE_CHECKING:
    from ctkd_cli.tasks.settings import AnyTask
    from ctkd_cli.tasks.split import Split


def require(
    settings: AnyTask,
    labels: Sequence[str],
    splits: tuple[Split, Split, Split],
    told: Sequence[str],
) -> list[str]:
    """What should be said of labels that have few examples, or none. splits: train, validation,
    test; told: what has been said of them already.

    Raises InputError when a label has nothing to train on, or the test split is empty. Where an
    example has several labels, one that train lacks is only told: whole examples are drawn.
    """
    train, validation, test = splits
    counts = [split.labels.counts(len(labels)).tolist() for split in splits]
    wanted = settings.labels_per_class or 1
    one_each = train.labels.offsets is None
    asked = settings.counted(labels) >= 0
    few = {
        label: n for label, n, a in zip(labels, counts[0], asked, strict=True) if 0 < n < wanted * a
    }
    notes = [too_few(few, settings, validated=len(validation) > 0)] if few else []
    problems = []
    for label, n, selected, tested in zip(labels, *counts, strict=True):
        if n == 0 and not one_each:
            notes.append(f"label {label!r} is absent from train: it cannot be learnt")
        if selected == 0 and len(validation):
            notes.append(f"label {label!r} is absent from validation")
        if tested == 0:
            notes.append(f"label {label!r} is absent from test")
    absent = [place for place, n in enumerate(counts[0]) if n == 0]
    if absent and (one_each or len(absent) == len(labels)):
        known = [f"{labels[p]!r} (test has {counted(counts[2][p])})" for p in absent[:SHOWN]]
        more = [f"{len(absent) - SHOWN} labels more"] if len(absent) > SHOWN else []
        problems.append(
            Problem(
                "a label has no example left to train on",
                where=f"{settings.role}, train split",
                got="; ".join([*known, *more, *[*told, *notes][:SHOWN]]),
                remedy=without_absent(settings, absent, labels, counts[1]),
            )
        )
    if len(test) == 0:
        problems.append(Problem("the test split is empty", where=f"{settings.role}.test"))
    if problems:
        raise InputError(*problems)
    return notes
