"""When a training is said to have settled, at values worked out by hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from math import exp
from pathlib import Path

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
        ([5.0, 4.0, 3.0], True),  # too few to tell
    ],
)
def test_has_settled(curve: list[float], settled: bool) -> None:
    labels = 150 if curve[0] == 5.0 else 4
    assert has_settled(curve, labels) is settled


def test_arms_that_had_not_settled_are_not_judged(
    ctkd: Callable[..., tuple[int, str, str]], tiny_run: list[str], tmp_path: Path
) -> None:
    """A training that is cut off while it learns says so, and how to go on; the remedy runs."""
    run = tmp_path / "run"
    slow = ["training.steps=40", "training.learning_rate=2e-4",
            "training.decay=constant", "target.labels_per_class=20"]  # fmt: skip
    asked = [s for s in tiny_run if not s.startswith(("training.", "target.labels_per"))]
    code, out, err = ctkd("run", *asked, *slow, f"hydra.run.dir={run}")
    assert code == 0, err
    told = " ".join(out.split())
    assert "No gain can be claimed" in told
    assert "had not settled" in told
    (command,) = [line for line in out.splitlines() if line.startswith("next:")]
    assert "training.steps=80" in command
    assert "training.steps=40" not in command
    again = shlex.split(command.removeprefix("next:").strip().removeprefix("ctkd "))
    assert ctkd(*again, f"hydra.run.dir={tmp_path / 'again'}")[0] == 0
