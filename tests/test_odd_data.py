"""Data at the edge of what can be learnt from, and training that goes wrong: defined, and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_topics

Ctkd = Callable[..., tuple[int, str, str]]
TWO = ["sport", "entertainment"]


def table(name: str, rows: list[tuple[str, str]]) -> str:
    Path(name).write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return name


def only() -> Path:
    (run,) = Path("outputs").iterdir()
    return run


def status() -> dict[str, str]:
    found: dict[str, str] = json.loads((only() / "status.json").read_text())
    return found


def test_a_loss_that_is_not_finite_stops_the_arm_and_names_its_batch(
    ctkd: Ctkd, tiny_run: list[str]
) -> None:
    code, out, err = ctkd("run", *tiny_run, "training.learning_rate=1e30", "training.warmup=0")
    assert (code, out) == (1, "")
    assert "error: alone, step 2: loss, ce not finite" in err
    assert "examples of this batch: train-" in err
    assert "training.learning_rate" in err
    assert "Traceback" not in err
    assert status()["status"] == "failed"
    assert "alone, step 2" in status()["reason"]


def test_a_last_step_that_breaks_the_weights_is_noticed(ctkd: Ctkd, tiny_run: list[str]) -> None:
    settings = ["training.learning_rate=1e38", "training.warmup=0", "training.steps=1"]
    code, _, err = ctkd("run", *tiny_run, *settings)
    assert code == 1
    assert "alone: the last step left weights that are not finite" in err


def test_validation_of_one_label(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    validation = table("validation.csv", [(f"goal {n}", "sport") for n in range(6)])
    test = write_topics(tmp_path / "test.csv", TWO, 12, seed=5)
    settings = [f"target.validation={validation}", f"target.test={test}", "training.select=best"]
    without = [setting for setting in tiny_run if "labels_per_class" not in setting]
    code, _, err = ctkd("run", *without, *settings)
    assert code == 0, err
    assert "label 'entertainment' is absent from validation" in err
    events = [json.loads(line) for line in (only() / "events.jsonl").read_text().splitlines()]
    scores = [event["macro_f1"] for event in events if event["event"] == "validated"]
    assert scores
    # Of two labels one can be found: macro-F1 is at most a half, where all of it is.
    assert all(0 <= score <= 0.5 for score in scores)


def test_validation_without_a_label_is_not_used(ctkd: Ctkd, tiny_run: list[str]) -> None:
    rows = [("goal", "sport"), ("film", "")]
    settings = [f"target.validation={table('v.csv', rows)}", "target.validation_size=1"]
    code, out, err = ctkd("check", *tiny_run, *settings)
    assert code == 0, err
    assert "1 example of validation left out: no label" in out


def test_a_label_that_only_test_has(ctkd: Ctkd, tiny_run: list[str]) -> None:
    rows = [("goal", "sport"), ("film", "entertainment"), ("phone", "tech"), ("net", "tech")]
    code, _, err = ctkd("run", *tiny_run, f"target.test={table('test.csv', rows)}")
    assert code == 2
    assert "no example left to train on" in err
    assert "'tech' (test has 2 examples)" in err
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    "more", [[], ["loss=hint"], ["loss=center_kl"], ["target.labels=[sport,entertainment]"]]
)
def test_a_label_with_one_example(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, more: list[str]
) -> None:
    rows = [(f"goal {n}", "sport") for n in range(6)] + [(f"film {n}", TWO[1]) for n in range(6)]
    train = table("train.csv", [*rows, ("phone", "tech")])
    test = write_topics(tmp_path / "test.csv", [*TWO, "tech"], 12, seed=5)
    settings = [f"target.train={train}", f"target.test={test}", *more]
    code, _, err = ctkd("run", *tiny_run, *settings)
    assert code == 0, err


def test_no_example_of_the_labels_asked_for_in_test(ctkd: Ctkd, tiny_run: list[str]) -> None:
    test = table("test.csv", [("phone", "tech"), ("net", "software")])
    settings = [f"target.test={test}", "target.labels=[sport,entertainment]"]
    code, _, err = ctkd("run", *tiny_run, *settings)
    assert code == 2
    assert "the test split is empty" in err
