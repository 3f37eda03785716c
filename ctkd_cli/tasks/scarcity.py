"""What is said of a task that has too little: fewer labels than were asked for, a test that tells
little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ctkd_cli.tasks.positions import Labels
    from ctkd_cli.tasks.settings import AnyTask
    from ctkd_cli.tasks.split import Split

SHOWN = 8  # labels that a message names
Z = 1.96  # of 95%
USUAL = 0.8  # the accuracy for which a test's interval is told
FEW = 20  # labelled examples of each label, on average, below which none validate unasked
WIDE = 0.25  # an interval worth a warning: that of fewer than 38 examples


def too_few(found: Mapping[str, int], settings: AnyTask, validated: bool) -> str:
    """labels_per_class asks for more than there is. found: what there is, by label."""
    named = [f"{label!r} has {n}" for label, n in found.items()]
    if len(named) > SHOWN:
        named[SHOWN:] = [f"{len(named) - SHOWN} labels more have too few"]
    told = (
        f"{settings.role}.labels_per_class={settings.labels_per_class} is more than there is, so "
        f"all are taken: {', '.join(named)}"
    )
    if validated:
        return told
    return (
        f"{told}; none is left to validate on, as always with labels_per_class: "
        f"{settings.role}.validation_size=1 sets one of each label aside"
    )


def without_absent(
    settings: AnyTask, absent: Sequence[int], labels: Sequence[str], validated: Sequence[int]
) -> str:
    """What helps when labels have nothing left to train on. absent: which; validated: the examples
    of each label that validation took."""
    taken = min(validated[place] for place in absent)
    if taken and settings.validation_size is not None:
        return f"{settings.role}.validation_size={taken // 4}, which leaves some to train on"
    left = [label for place, label in enumerate(labels) if place not in absent]
    if len(left) < 2 or len(left) > SHOWN or not all(map(str.isidentifier, left)):
        return f"more data, or {settings.role}.labels=[...] without it"
    return f"more data, or {settings.role}.labels=[{','.join(left)}]"


def coarse_test(settings: AnyTask, test: Split, held_out: bool) -> list[str]:
    """How little a target's test split can tell, where it is too small. held_out: of train."""
    if settings.role != "target" or test.labels.offsets is not None:
        return []  # positions of one example are no draws of their own
    low, high = wilson(USUAL, len(test))
    if high - low < WIDE:
        return []
    remedy = (
        "evaluation=folds tests every labelled example"
        if held_out
        else "only more test examples help"
    )
    return [
        f"a test of {counted(len(test))} tells little: an accuracy of {USUAL:.2f} there may be "
        f"anything between {low:.2f} and {high:.2f} (95% interval); {remedy}"
    ]


def too_few_to_validate(labels: Labels, classes: np.ndarray) -> bool:
    """Whether labels are too few to set some aside unasked: a tenth of them would be one or two of
    each label, which cost the student more than they tell. classes: [K], as of draws."""
    _, _, gold = labels.known()
    kept = classes[gold][classes[gold] >= 0]
    n_classes = len(np.unique(kept))
    return bool(n_classes and len(kept) < FEW * n_classes)


def set_aside(settings: AnyTask, n_labelled: int, n_validation: int) -> list[str]:
    """What was done about validation without being asked; nothing to tell with labels_per_class."""
    where = f"{settings.role}.validation_size"
    if n_validation:
        return [
            f"{n_validation} of {counted(n_labelled, 'labelled example')} set aside for "
            f"validation: {where}=0 trains on all"
        ]
    if settings.labels_per_class is not None:
        return []
    return [
        f"none of {counted(n_labelled, 'labelled example')} set aside for validation, since there "
        f"are fewer than {FEW} of each label: {where}=0.1 sets some aside"
    ]


def counted(n: int, what: str = "example") -> str:
    """`1 example`, `2 examples`."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share seen among n (Wilson, 1927)."""
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return centre - half, centre + half
