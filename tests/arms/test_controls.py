"""Controls: the same student, labels and steps; one thing differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from teachers import LABELS, bridged, knowledge, terms_of

from ctkd_cli.arms.weights import take_body
from ctkd_cli.backbones._pooled import final_linear
from ctkd_cli.backbones.convnet import Convnet
from ctkd_cli.distillation.bridges.leep import Leep
from ctkd_cli.distillation.losses.hint import Hint
from ctkd_cli.distillation.losses.kl import Kl
from ctkd_cli.evaluation.arm_names import QUICK, ControlName
from ctkd_cli.evaluation.results import Results
from ctkd_cli.tasks.kinds.images import Images

Ctkd = Callable[..., tuple[int, str, str]]
NAMES = get_args(ControlName)


def test_shuffling_moves_whole_rows() -> None:
    given = knowledge(20)
    order = np.random.default_rng(1).permutation(20)
    terms = terms_of(given, (Kl(name="kl"), 1.0), (Hint(name="hint"), 1.0)).shuffled(order)
    moved, other = terms.at(np.arange(20), np.zeros(20, np.int64))
    np.testing.assert_array_equal(moved["logits"], given.logits[order])
    np.testing.assert_array_equal(moved["features"], given.features[order])
    np.testing.assert_array_equal(other["logits"], moved["logits"])  # all terms alike
    np.testing.assert_array_equal(terms.constants(terms.terms[0])["head_weight"], given.head.weight)


def test_a_shuffled_example_brings_the_target_that_left_out_its_own_label() -> None:
    """Not that of the example in whose place it stands."""
    given = knowledge(8, labels=LABELS)
    signals = bridged(given, Leep(), [0, 1, 0, 1, 0, 1, -1, -1])
    order = np.random.default_rng(2).permutation(8)
    numbers = np.zeros(8, np.int64)
    moved = replace(signals, order=order).heard(np.arange(8), numbers)
    np.testing.assert_array_equal(moved.mapped, signals.heard(order, numbers).mapped)
    np.testing.assert_array_equal(moved.examples, order)


def test_a_body_is_taken_without_its_head() -> None:
    torch.manual_seed(0)
    kind = Images()
    first, other = Convnet().build(["a", "b"], kind), Convnet().build(["x", "y", "z"], kind)
    head = final_linear(first).weight.clone()
    take_body(Convnet(), first, other)
    assert torch.equal(final_linear(first).weight, head)
    assert torch.equal(first.blocks[0][0].weight, other.blocks[0][0].weight)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]) -> Path:
    from ctkd_cli.__main__ import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("full"))
        patch.setenv("CTKD_CACHE", str(Path("cache").absolute()))  # nothing else is in it
        assert main(["run", *tiny_run, "controls=full", "loss=hint"]) == 0
        (run,) = Path("outputs").iterdir()
        return run.absolute()


def test_every_control_is_an_arm(full: Path) -> None:
    arms = Results.read(full).arms
    assert arms == ["teacher", "teacher_on_target", "alone", "distilled", *NAMES, *QUICK]
    metrics = json.loads((full / "metrics.json").read_text())
    # stilts_distilled is distilled too; the others cost more to use than the student.
    others = ("stilts_distilled", "probe", "features", "untuned")
    beside = [name for name in (*NAMES, *QUICK) if name not in others]
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


def test_controls_reuse_what_is_there(
    ctkd: Ctkd, tiny_run: list[str], full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(full.parents[1] / "cache"))
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
    from ctkd_cli.training.inference import LoadedModel

    experiment = load(yaml.safe_load((full / "config.yaml").read_text()))
    (source,) = sources.load(experiment).values()
    target = task.load(experiment.target, experiment.seed)
    folder = Cache("teachers").find(teacher_key(experiment, source))
    teacher, kind = experiment.teacher, target.settings
    model, preprocessor = teacher.load_trained(folder / "model"), teacher.preprocessor()
    loaded = LoadedModel(model, teacher, preprocessor, kind, Device(accelerator="cpu"))

    def features(inputs: Any) -> np.ndarray:
        said = list(inference.batches(loaded, kind.encode(inputs, preprocessor)))
        rows = np.concatenate([read.examples for read in said])
        return np.concatenate([read.features for read in said])[np.argsort(rows)]

    train, test = features(target.train.inputs), features(target.test.inputs)
    scaler = StandardScaler().fit(train)
    known = target.train.labels.labelled
    probe = LogisticRegression(C=0.1, max_iter=1000)
    probe.fit(scaler.transform(train[known]), target.train.labels.values[known])
    expected = probe.predict_proba(scaler.transform(test))
    results = Results.read(full)
    np.testing.assert_allclose(results.answers("probe", 1).probabilities, expected, atol=1e-4)


def test_an_unknown_control(ctkd: Ctkd) -> None:
    code, _, err = ctkd("run", "controls.arms=[stilt]")
    assert code == 2
    assert "stilts" in err
