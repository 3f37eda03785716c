"""When a training is said to have settled, at values worked out by hand."""

from __future__ import annotations

from math import exp

import pytest

from ctkd_cli.evaluation.settling import has_settled

STEPS = range(50)


@pytest.mark.parametrize(
    ("curve", "settled"),
    [
        # 150 labels after 100 steps: 5.0 to 4.6, falling as fast as ever
        ([5.0 - 0.4 * step / 49 for step in STEPS], False),
        # noise of the labels is left, and nothing moves any more
        ([0.6 + 0.5 * exp(-step / 5) for step in STEPS], True),
        # the same, an eighth of the way down in the last fifth
        ([0.6 + 0.5 * exp(-step / 25) for step in STEPS], False),
        # the last fifth is at 0.128, less than a tenth of ln 4, and falls as ever; at 0.246
        ([1.39 * (1 - step / 49) for step in STEPS], True),
        ([1.39 - 1.26 * step / 49 for step in STEPS], False),
        ([0.7] * 50, True),
        # it never fell: nothing says that it will
        ([0.7 + 0.01 * step for step in STEPS], True),
        ([5.0, 4.0, 3.0], True),
    ],
)
def test_has_settled(curve: list[float], settled: bool) -> None:
    labels = 150 if curve[0] == 5.0 else 4
    assert has_settled(curve, labels) is settled
