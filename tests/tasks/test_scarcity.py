"""What `check` and `run` say when a target has too little, and that their remedies work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import binomtest

from ctkd_cli.tasks import scarcity

Ctkd = Callable[..., tuple[int, str, str]]
LABELS = ("billing", "bug", "feature", "login", "shipping")


@pytest.fixture
def messages(tmp_path: Path) -> list[str]:
    """50 messages, 10 of each label, and no test file."""
    lines = [f"the good song {row},{LABELS[row % 5]}" for row in range(50)]
    (tmp_path / "messages.csv").write_text("\n".join(["text,label", *lines]))
    return ["target=files", "target.train=messages.csv"]


def notes(ctkd: Ctkd, *overrides: str) -> list[str]:
    code, out, err = ctkd("check", *overrides, "--json")
    assert code == 0, err
    return list(json.loads(out)["target"]["notes"])


def counts(ctkd: Ctkd, *overrides: str) -> dict[str, int]:
    out = ctkd("check", *overrides, "--json")[1]
    found = json.loads(out)["target"]["counts"]
    return {part: sum(each.values()) for part, each in found.items()}


def test_fewer_labels_than_asked_for(ctkd: Ctkd, messages: list[str]) -> None:
    asked = [*messages, "target.labels_per_class=20"]
    told, _ = notes(ctkd, *asked)
    assert "more than there is" in told
    assert all(f"'{label}' has 8" in told for label in LABELS)
    assert counts(ctkd, *asked) == {"train": 40, "validation": 0, "test": 10}
    (remedy,) = re.findall(r"target\.validation_size=\S+", told)
    assert counts(ctkd, *asked, remedy) == {"train": 35, "validation": 5, "test": 10}
    assert "validate" not in notes(ctkd, *asked, remedy)[0]


def test_how_little_a_small_test_tells(ctkd: Ctkd, messages: list[str]) -> None:
    aside, told = notes(ctkd, *messages)
    assert aside.startswith(
        "none of 40 labelled examples set aside for validation, since there are"
    )
    assert told.startswith("a test of 10 examples tells little")
    interval = binomtest(8, 10).proportion_ci(method="wilson")
    assert f"between {interval.low:.2f} and {interval.high:.2f}" in told
    assert told.endswith("; evaluation=folds tests every labelled example")
    asked = [*messages, "evaluation=folds"]
    assert counts(ctkd, *asked) == {"train": 40, "validation": 0, "test": 10}
    parted, _ = notes(ctkd, *asked)
    assert parted == (
        "each of 50 labelled examples is tested once, in 5 folds; counts are those of the first, "
        "and the student that is kept has not seen it"
    )


def test_a_test_that_tells_enough(ctkd: Ctkd) -> None:
    """The default pair has 262 test headlines."""
    assert not any("tells little" in note for note in notes(ctkd))


def test_a_run_says_the_same(ctkd: Ctkd, tiny_run: list[str]) -> None:
    code, _, err = ctkd("run", *tiny_run, "target.labels_per_class=40")
    assert code == 0, err
    assert "note: target: target.labels_per_class=40 is more than there is" in err
    assert "'sport' has 32" in err
    assert "note: target: a test of 16 examples tells little" in err


@pytest.mark.parametrize("right, n", [(8, 10), (16, 20), (40, 50), (800, 1000)])
def test_the_interval_is_wilsons(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert scarcity.wilson(right / n, n) == pytest.approx(tuple(expected), abs=1e-5)
