"""Whether a training had learnt what it could from its labels when it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import TYPE_CHECKING

from ctkd_cli.evaluation.falling import FIFTHS, falls_no_more, means_of_fifths

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results

LEARNT = 0.1  # of ln K: cross-entropy below it has nothing left to fall


def has_settled(cross_entropy: Sequence[float], n_labels: int) -> bool:
    """A fixed rule on the training's own loss, the same for every arm: it has when little is left,
    or when its last fifth brought less than a twentieth of what the whole did. cross_entropy: at
    steps spread over the training; of fewer than 25 nothing is said."""
    if len(cross_entropy) < FIFTHS**2:
        return True
    fifths = means_of_fifths(cross_entropy)
    if fifths[-1] <= LEARNT * log(n_labels):
        return True
    return falls_no_more(fifths, max(fifths[0] - fifths[-1], 0.0))


def unsettled(results: Results, arms: Iterable[str]) -> tuple[str, ...]:
    """Those of the arms whose training had not settled, with one seed at least."""
    found = []
    for arm in arms:
        for events in results.steps.get(arm, []):
            curve = [event["ce"] for event in events if "ce" in event]
            if not has_settled(curve, len(results.facts("target")["labels"])):
                found.append(arm)
                break
    return tuple(found)
