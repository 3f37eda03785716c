"""Controls: the same student, labels and steps; one thing differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from test_training import signals

from ctkd_cli.arms.controls import shuffle
from ctkd_cli.arms.student import _take_body
from ctkd_cli.backbones._pooled import final_linear
from ctkd_cli.backbones.convnet import Convnet
from ctkd_cli.distillation.losses.hint import Hint
from ctkd_cli.distillation.losses.kl import Kl
from ctkd_cli.distillation.terms import Term
from ctkd_cli.evaluation.results import Results
from ctkd_cli.experiment import ControlName

Ctkd = Callable[..., tuple[int, str, str]]
NAMES = get_args(ControlName)


def test_shuffling_moves_whole_rows() -> None:
    given = signals(20)
    terms = (
        Term("kl", Kl(), given, np.arange(20.0)),
        Term("hint", Hint(), given, np.ones(20)),
    )
    moved, other = shuffle(terms, seed=1)
    rows = moved.signals.logits
    order = [int(np.flatnonzero((given.logits == row).all(axis=1))[0]) for row in rows]
    assert sorted(order) == list(range(20)) != order
    np.testing.assert_array_equal(moved.weight, order)
    np.testing.assert_array_equal(moved.signals.features, given.features[order])
    np.testing.assert_array_equal(moved.signals.head_weight, given.head_weight)
    np.testing.assert_array_equal(other.signals.logits, rows)  # all terms alike


def test_a_body_is_taken_without_its_head() -> None:
    torch.manual_seed(0)
    first, other = Convnet().build(["a", "b"]), Convnet().build(["x", "y", "z"])
    head = final_linear(first).weight.clone()
    _take_body(first, other)
    assert torch.equal(final_linear(first).weight, head)
    assert torch.equal(first.blocks[0][0].weight, other.blocks[0][0].weight)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]) -> Path:
    from ctkd_cli.__main__ import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("full"))
        assert main(["run", *tiny_run, "controls=full", "loss=hint"]) == 0
        (run,) = Path("outputs").iterdir()
        return run.absolute()


def test_every_control_is_an_arm(full: Path) -> None:
    arms = Results.read(full).arms
    assert arms == ["teacher", "teacher_on_target", "alone", "distilled", *NAMES]
    metrics = json.loads((full / "metrics.json").read_text())
    beside = [name for name in NAMES if name != "stilts_distilled"]  # it is distilled too
    controls = {arm: metrics[f"{arm}/macro_f1"] for arm in ("alone", *beside)}
    gain = metrics["distilled/macro_f1"] - max(controls.values())
    assert metrics["gain/macro_f1"] == pytest.approx(gain)


def test_arms_answer_the_same_examples_differently(full: Path) -> None:
    table = pq.read_table(full / "predictions.parquet")
    by_arm = {
        arm: table.filter(np.array(table["arm"]) == arm) for arm in ("alone", "distilled", *NAMES)
    }
    ids = {arm: tuple(rows["id"].to_pylist()) for arm, rows in by_arm.items()}
    assert len(set(ids.values())) == 1
    answers = {tuple(rows["p(sport)"].to_pylist()) for rows in by_arm.values()}
    assert len(answers) == len(by_arm)


def test_controls_reuse_what_is_there(ctkd: Ctkd, tiny_run: list[str], full: Path) -> None:
    assert ctkd("run", *tiny_run, "controls=full", "loss=hint", "seed=2")[0] == 0
    (run,) = Path("outputs").iterdir()
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    reused = [event["stage"] for event in events if event["event"] == "reused"]
    # teachers: trained, generic, random, and again for the probes, which also hear of the test,
    # as the evaluation does of the trained one's
    expected = 2 * ["control"] + ["evaluation"] + 7 * ["knowledge"] + 5 * ["teacher"]
    assert sorted(reused) == expected


def test_a_probe_is_logistic_regression_on_the_teachers_features(full: Path) -> None:
    """Worked out from the saved teacher and the data, without the run's own code for it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from ctkd_cli.arms import sources
    from ctkd_cli.arms.keys import teacher_key
    from ctkd_cli.cache.entries import Cache
    from ctkd_cli.experiment import load
    from ctkd_cli.runtime.devices import Device
    from ctkd_cli.tasks import task
    from ctkd_cli.training import inference

    experiment = load(yaml.safe_load((full / "config.yaml").read_text()))
    (source,) = sources.load(experiment).values()
    target = task.load(experiment.target, experiment.seed)
    folder = Cache("teachers").find(teacher_key(experiment, source))
    model = experiment.teacher.load_trained(folder / "model")
    preprocessor = experiment.teacher.preprocessor()

    def features(inputs: Any) -> np.ndarray:
        encoded = target.settings.encode(inputs, preprocessor)
        device = Device(accelerator="cpu")
        said = list(inference.batches(model, target.settings, encoded, preprocessor, device))
        rows = np.concatenate([rows for rows, _, _ in said])
        return np.concatenate([found for _, _, found in said])[np.argsort(rows)]

    train, test = features(target.train.inputs), features(target.test.inputs)
    scaler = StandardScaler().fit(train)
    known = target.train.labels >= 0
    probe = LogisticRegression(C=0.1, max_iter=1000)
    probe.fit(scaler.transform(train[known]), target.train.labels[known])
    expected = probe.predict_proba(scaler.transform(test))
    results = Results.read(full)
    np.testing.assert_allclose(results.probabilities("probe", 1), expected, atol=1e-4)


def test_an_unknown_control(ctkd: Ctkd) -> None:
    code, _, err = ctkd("run", "controls.arms=[stilt]")
    assert code == 2
    assert "stilts" in err
