"""`seeds=N`: several seeds in one run, the same as as many runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score

from ctkd_cli.evaluation.arm_names import QUICK
from ctkd_cli.evaluation.calibration import fit_temperature, validated_temperature
from ctkd_cli.evaluation.results import Results

Ctkd = Callable[..., tuple[int, str, str]]
# Else no temperature makes the student better.
LONGER = ["training.steps=10", "student.pooling=head"]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]) -> Path:
    """A run of three seeds with a control and a validation set."""
    from ctkd_cli.__main__ import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("three"))
        arguments = ["seed=4", "seeds=3", "controls=basic", "target.validation_size=20"]
        assert main(["run", *tiny_run, *arguments, *LONGER]) == 0
        (run,) = Path("outputs").iterdir()
        return run.absolute()


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def probabilities(run: Path, arm: str, seed: int) -> list[float]:
    table = pq.read_table(run / "predictions.parquet").to_pylist()
    return [row["p(sport)"] for row in table if row["arm"] == arm and row["seed"] == seed]


def test_each_seed_is_what_a_run_of_its_own_gives(
    ctkd: Ctkd, three: Path, tiny_run: list[str]
) -> None:
    arguments = ["seed=5", "controls=basic", "target.validation_size=20", "reuse=false"]
    assert ctkd("run", *tiny_run, *arguments, *LONGER)[0] == 0
    (alone,) = Path("outputs").iterdir()
    for arm in ("alone", "distilled", "stilts", "shuffled_teacher"):
        assert probabilities(three, arm, 5) == probabilities(alone, arm, 5)
        assert probabilities(three, arm, 5) != probabilities(three, arm, 4)


def test_the_teacher_is_trained_and_asked_once(three: Path) -> None:
    began = [e["stage"] for e in events(three) if e["event"] == "start"]
    assert began.count("teacher") == 1
    assert began.count("knowledge") == 1
    assert began.count("student") == 6


def test_figures_are_means_over_seeds(three: Path) -> None:
    metrics = json.loads((three / "metrics.json").read_text())
    table = pq.read_table(three / "predictions.parquet").to_pylist()
    for arm in ("alone", "distilled"):
        each = []
        for seed in (4, 5, 6):
            rows = [row for row in table if row["arm"] == arm and row["seed"] == seed]
            gold, predicted = ([row[c] for row in rows] for c in ("gold", "predicted"))
            each.append(f1_score(gold, predicted, average="macro"))
            assert metrics[f"{arm}/seed={seed}/macro_f1"] == pytest.approx(each[-1])
        assert metrics[f"{arm}/macro_f1"] == pytest.approx(np.mean(each))
    page = (three / "report.html").read_text()
    assert "Macro-F1, seed by seed" in page
    assert "answers of seeds 4, 5, 6 together" in (three / "report.txt").read_text()


def test_the_saved_student_is_the_first_seeds(three: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        three / "student", trust_remote_code=True
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(three / "student", trust_remote_code=True)
    table = pq.read_table(three / "predictions.parquet").to_pylist()
    texts = [r["input"] for r in table if (r["arm"], r["seed"]) == ("distilled", 4)]
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    sport = logits.softmax(dim=-1)[:, model.config.label2id["sport"]].numpy()
    np.testing.assert_allclose(sport, probabilities(three, "distilled", 4), atol=1e-5)


@pytest.fixture(scope="module")
def validation(three: Path) -> tuple[np.ndarray, np.ndarray]:
    """The saved student's logits on validation and the gold labels, from its files and the data."""
    import torch
    import yaml
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from ctkd_cli import experiment
    from ctkd_cli.tasks import task

    settings = experiment.load(yaml.safe_load((three / "config.yaml").read_text()))
    split = task.load(settings.target, 4).validation
    assert len(split) == 40
    model = AutoModelForSequenceClassification.from_pretrained(
        three / "student", trust_remote_code=True
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(three / "student", trust_remote_code=True)
    with torch.no_grad():
        texts = split.inputs["text"][:]
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    return logits, split.labels.values


def test_the_temperature_is_the_students_on_validation(
    three: Path, validation: tuple[np.ndarray, np.ndarray]
) -> None:
    expected = fit_temperature(*validation)
    results = Results.read(three)
    assert results.temperatures["distilled", 4] == pytest.approx(expected, rel=0.01)
    assert expected == pytest.approx(validated_temperature(*validation, np.arange(40)), rel=0.01)
    assert {("alone", seed) for seed in (4, 5, 6)} <= results.temperatures.keys()
    assert "distilled/ece_scaled" in json.loads((three / "metrics.json").read_text())


def test_scores_on_validation_are_the_students(
    three: Path, validation: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, gold = validation
    metrics = json.loads((three / "metrics.json").read_text())
    expected = f1_score(gold, logits.argmax(axis=1), average="macro")
    assert metrics["distilled/seed=4/validation_macro_f1"] == pytest.approx(expected)
    each = [metrics[f"distilled/seed={seed}/validation_macro_f1"] for seed in (4, 5, 6)]
    assert metrics["distilled/validation_macro_f1"] == pytest.approx(np.mean(each))
    assert {key.split("/")[0] for key in metrics if key.endswith("validation_accuracy")} == {
        "teacher", "alone", "distilled", "stilts", "shuffled_teacher", *QUICK
    }  # fmt: skip


def test_models_are_measured_side_by_side(three: Path) -> None:
    cost = Results.read(three).efficiency
    weights = (three / "student" / "model.safetensors").stat().st_size
    assert cost["student"]["megabytes"] == pytest.approx(weights / 1e6)
    assert cost["student"]["parameters"] < cost["teacher"]["parameters"]
    assert all(cost[model][figure] > 0 for model in cost for figure in ("latency", "throughput"))
    cores = json.loads((three / "environment.json").read_text())["hardware"]["cores"]
    assert f"load average {cost['student']['load']:.1f} on {cores} cores" in (
        " ".join((three / "report.txt").read_text().split())
    )


def test_the_teachers_own_opinion_is_an_arm_but_no_control(three: Path) -> None:
    results = Results.read(three)
    assert "teacher_on_target" in results.arms
    assert results.controls == ["alone", "stilts", "shuffled_teacher", *QUICK]
    label_map = results.label_map.weights
    assert label_map.shape == (3, 2)
    metrics = json.loads((three / "metrics.json").read_text())
    table = pq.read_table(three / "predictions.parquet").to_pylist()
    said = {
        arm: {(r["seed"], r["id"]): r["predicted"] for r in table if r["arm"] == arm}
        for arm in ("teacher_on_target", "distilled")
    }
    same = [said["distilled"][k] == v for k, v in said["teacher_on_target"].items()]
    assert metrics["distilled/teacher_agreement"] == pytest.approx(np.mean(same))


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_a_number_of_seeds_that_makes_no_sense_is_refused(ctkd: Ctkd, value: str) -> None:
    code, _, err = ctkd("run", f"seeds={value}")
    assert code == 2
    assert "seeds" in err
