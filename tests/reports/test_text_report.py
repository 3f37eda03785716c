"""report.txt where there are many labels, and where some are never answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn.metrics import classification_report, f1_score

from ctkd_cli.reports.findings import never_predicted
from ctkd_cli.reports.text import MANY, _folded, listed


def test_few_labels_are_listed_and_of_many_some() -> None:
    assert listed(["a"]) == "label a"
    assert listed(["a", "b"]) == "labels a, b"
    many = listed([f"n{i}" for i in range(150)])
    assert many.startswith("150 labels: n0, n1, ")
    assert many.endswith("n19, ...")


def test_of_many_labels_the_worst_stand_first() -> None:
    generator = np.random.default_rng(1)
    gold = np.repeat(np.arange(50), 12)
    predicted = np.where(generator.random(600) < gold / 50, gold, (gold + 1) % 50)
    names = [f"label {n}" for n in range(50)]
    report = classification_report(gold, predicted, target_names=names, zero_division=0)
    head, body, summary = _folded(report.rstrip()).split("\n\n")
    assert head in report
    assert summary in report
    *rows, more = body.splitlines()
    assert more.strip() == "30 labels more, with no less F1"
    shown = [int(row.split()[1]) for row in rows]
    scores = f1_score(gold, predicted, average=None)
    assert len(shown) == MANY
    assert np.allclose(np.sort(scores)[:MANY], scores[shown], atol=0.01)
    assert all(row in report for row in rows)


def test_a_report_of_few_labels_stays() -> None:
    report = classification_report([0, 1], [0, 0], zero_division=0).rstrip()
    assert _folded(report) == report


def test_labels_that_are_taught_and_never_answered() -> None:
    """b with one seed of two is answered; c never; d has no example to be taught from."""
    counts = {"train": {"a": 3, "b": 3, "c": 1, "d": 0}}
    results: Any = SimpleNamespace(
        facts=lambda role: {"counts": counts},
        labels=lambda arm: ["a", "b", "c", "d"],
        predicted_rows=lambda arm: np.array([[0, 0, 0], [0, 1, 0]]),
    )
    assert never_predicted(results, "distilled") == ["c"]
