"""The end of a run in the terminal."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ctkd_cli.evaluation.significance import Interval
from ctkd_cli.evaluation.verdict import Verdict
from ctkd_cli.reports.arm_titles import name_of
from ctkd_cli.reports.terminal import best_arms, print_summary
from ctkd_cli.tasks.metric import MACRO_F1

FIGURES = ("macro_f1", "accuracy", "nll", "ece")
CONTROLS = ["alone", "stilts", "generic_teacher", "random_teacher", "shuffled_teacher", "probe"]


HELPED = Interval(0.1, 0.05, 0.15)


def shown(
    seeds: list[int], overrides: list[str], control: str = "stilts", gain: Interval = HELPED
) -> list[str]:
    """Lines of the summary on a terminal of 80 columns."""
    results: Any = SimpleNamespace(
        arms=["teacher", *CONTROLS, "distilled"],
        teachers={"teacher": {}},
        controls=CONTROLS,
        without={},
        seeds=lambda arm: seeds,
        mean=lambda arm, metric: 0.875,
        metric=MACRO_F1,
        scores={
            arm: {seed: dict.fromkeys(FIGURES, 0.875) for seed in seeds}
            for arm in ("teacher", *CONTROLS, "distilled")
        },
        overrides=overrides,
        command=lambda *words: " ".join(["ctkd", "run", *words]),
        directory=Path("outputs/run"),
        chosen={"arm": "distilled", "by": ""},
        fitted={"tfidf": {"strength": 10.0}},
    )
    verdict = Verdict(control, 0.9, 0.8, gain, len(seeds), None)
    stream = io.StringIO()
    print_summary(results, verdict, Console(file=stream, width=80))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_every_arm_fits_in_80_columns() -> None:
    lines = shown([1], ["lambda=1"])
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert all(name_of(arm) in text for arm in CONTROLS)
    assert "0.875" in text
    assert (
        text.index("student distilled ")
        < text.index("student alone ")
        < text.index("teacher (its own task)")
    )


def test_one_seed_leads_to_five_and_five_to_predictions() -> None:
    one = shown([1], ["lambda=1", "seed=1", "seeds=1", "hydra.run.dir=x"])
    assert one[-1].split(maxsplit=1) == ["next:", "ctkd run lambda=1 seed=1 seeds=5"]
    five = shown([1, 2, 3, 4, 5], [])
    assert five[-1].split(maxsplit=1) == ["next:", "ctkd predict outputs/run FILE"]


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
@pytest.mark.parametrize(
    ("control", "command"),
    [
        ("alone", "ctkd run loss=kl seeds=3 lambda=0"),
        ("stilts", "ctkd run loss=kl lambda=2 seeds=3 select=best_arm"),
        ("tfidf", "TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)) and "
         "LogisticRegression(C=10) of scikit-learn, on the labelled examples; see docs/rivals.md"),
    ],
)  # fmt: skip
def test_what_does_better_is_what_to_take_next(
    seeds: list[int], control: str, command: str
) -> None:
    """Not more seeds of what does worse."""
    worse = Interval(-0.1, -0.15, -0.05)
    lines = shown(seeds, ["loss=kl", "lambda=2", "seeds=3", "hydra.run.dir=x"], control, worse)
    assert lines[-1].split(maxsplit=1) == ["next:", command]


def test_bold_marks_the_best_and_its_ties() -> None:
    means = {"teacher": 0.99, "alone": 0.9004, "probe": 0.9001, "distilled": 0.88}
    results: Any = SimpleNamespace(
        arms=list(means), teachers={"teacher": {}}, metric=MACRO_F1,
        mean=lambda arm, name: means[arm],
    )  # fmt: skip
    assert best_arms(results) == ["alone", "probe"]
