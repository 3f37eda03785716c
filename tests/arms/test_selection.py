"""select=best_arm: student/ holds the arm that does best where it has not learnt, never by test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from ctkd_cli.arms import selection
from ctkd_cli.arms.student import ArmOutputs
from ctkd_cli.evaluation.results import Results
from ctkd_cli.experiment import of_overrides
from ctkd_cli.tasks import task
from ctkd_cli.tasks.positions import Labels

Ctkd = Callable[..., tuple[int, str, str]]


def chosen(run: Path) -> dict[str, Any]:
    lines = (run / "events.jsonl").read_text().splitlines()
    (found,) = (e for e in map(json.loads, lines) if e["stage"] == "selection" and "by" in e)
    return dict(found)


def logits_for(gold: np.ndarray, sure: float) -> np.ndarray:
    """An arm that gives the right label of two this probability."""
    right = np.eye(2)[gold]
    return np.log(right * sure + (1 - right) * (1 - sure))


def test_validation_decides_where_there_is_enough() -> None:
    gold = np.arange(60) % 2
    target: Any = SimpleNamespace(validation=SimpleNamespace(labels=Labels(gold)))
    sure = {"alone": 0.9, "distilled": 0.8, "tfidf": 0.99}
    said = {name: ArmOutputs(name, np.empty((0, 2)), logits_for(gold, p))
            for name, p in sure.items()}  # fmt: skip
    found = selection.choose(target, said, ["alone", "distilled"], lambda part, number: [])
    assert found.arm == "alone"  # tfidf is better, and fits into no student/
    assert found.by == "60 validation examples"
    assert found.likelihoods == pytest.approx({name: np.log(p) for name, p in sure.items()})


def test_parts_are_answered_by_those_that_have_not_seen_them(tiny_run: list[str]) -> None:
    whole = task.load(of_overrides([*tiny_run, "target.labels_per_class=6"]).target, 1)
    left_out: list[str] = []
    test = set(whole.test.ids)
    for part in selection.parts(whole):
        assert not set(part.train.ids) & set(part.test.ids)
        assert not test & {*part.train.ids, *part.test.ids}
        assert part.test.labels.labelled.all()
        left_out += part.test.ids
    labelled = [whole.train.ids[int(row)] for row in whole.labelled]
    assert sorted(left_out) == sorted(labelled)


def test_cross_validation_decides_where_there_is_not(tiny_run: list[str]) -> None:
    whole = task.load(of_overrides([*tiny_run, "target.labels_per_class=6"]).target, 1)
    sure = {"alone": [0.6, 0.6, 0.6], "distilled": [0.9, 0.9, 0.1]}

    def again(part: Any, number: int) -> list[ArmOutputs]:
        gold = part.test.labels.values
        return [ArmOutputs(arm, logits_for(gold, p[number])) for arm, p in sure.items()]

    found = selection.choose(whole, {}, ["alone", "distilled"], again)
    assert found.arm == "alone"
    gold = np.repeat([0, 1], 6)
    expected = -log_loss(gold, np.exp(logits_for(gold, 0.6)))
    assert found.likelihoods["alone"] == pytest.approx(expected)
    assert found.by == "3-fold cross-validation on 12 labelled examples"


def test_a_run_hands_over_the_best(ctkd: Ctkd, tiny_run: list[str]) -> None:
    """Random teachers of random teachers: somebody else than the distilled one wins, and student/
    gives that arm's answers."""
    asked = [*tiny_run, "target.labels_per_class=6", "controls=basic", "select=best_arm"]
    code, _, err = ctkd("run", *asked)
    assert code == 0, err
    (run,) = Path("outputs").iterdir()
    results, found = Results.read(run), chosen(run)
    trained = ["alone", "distilled", "stilts", "shuffled_teacher"]
    assert set(found["likelihoods"]) == {*trained, "tfidf", "untuned", "cut_body"}
    assert found["arm"] == max(trained, key=found["likelihoods"].__getitem__)
    assert set(results.arms) == {"teacher", "teacher_on_target", *found["likelihoods"]}
    card = (run / "student" / "README.md").read_text()
    assert f"It is the arm `{found['arm']}`" in card
    rows = results.rows(found["arm"], 1)
    Path("texts.txt").write_text("\n".join(rows["input"].to_pylist()))
    code, out, err = ctkd("predict", str(run), "texts.txt", "--format", "jsonl")
    assert code == 0, err
    said = [json.loads(line)["probabilities"]["sport"] for line in out.splitlines()]
    np.testing.assert_allclose(said, rows["p(sport)"].to_pylist(), atol=1e-4)


def test_with_an_example_of_a_label_nothing_is_chosen(ctkd: Ctkd, tiny_run: list[str]) -> None:
    asked = [*tiny_run, "target.labels_per_class=1", "loss=hint", "select=best_arm"]
    code, _, err = ctkd("run", *asked)
    assert code == 0, err
    (run,) = Path("outputs").iterdir()
    assert chosen(run)["arm"] == "distilled"


@pytest.mark.parametrize(
    ("n", "likelihoods", "told"),
    [
        (60, {}, "SetFit, the student's body, with macro-F1 on 60 validation examples 0.900 "
         "against 0.800"),
        (49, {}, ""),  # too few to tell
        (0, {"distilled": -0.4, "tfidf": -0.3, "alone": -0.5},
         "TF-IDF + logistic regression, with log-likelihood by parts -0.300 against -0.400"),
        (0, {"distilled": -0.4, "untuned": -0.1}, ""),  # which is dearer
        (0, {"distilled": -0.2, "alone": -0.3}, ""),
    ],
)  # fmt: skip
def test_the_card_names_what_does_better_at_no_higher_cost(
    n: int, likelihoods: dict[str, float], told: str
) -> None:
    from ctkd_cli.reports.model_card import _beaten
    from ctkd_cli.tasks.metric import MACRO_F1

    by = "parts" if likelihoods else ""
    scores = {"distilled": 0.8, "setfit": 0.9, "untuned": 0.99}
    results: Any = SimpleNamespace(
        chosen={"arm": "distilled", "by": by, "likelihoods": likelihoods},
        metric=MACRO_F1, seeds=lambda arm: [1, 2], own_costs={}, efficiency={},
        controls=["alone", "tfidf", "untuned", "setfit"],
        facts=lambda role: {"examples": {"validation": n}},
        models={"teacher": {"parameters": 2.0}, "student": {"parameters": 1.0}},
        unseen={(arm, 1): {"validation_macro_f1": s} for arm, s in scores.items()},
    )  # fmt: skip
    found = _beaten(results)
    assert found.partition(":** ")[2].rstrip(".") == told
