"""Rivals: what one would take instead of a student, beside scikit-learn's own on the same files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from transformers import AutoTokenizer

from ctkd_cli.arms import _logistic, _setfit, rivals
from ctkd_cli.arms._tfidf import TfIdf
from ctkd_cli.arms.cut_vocabulary import cut
from ctkd_cli.backbones.static import Static
from ctkd_cli.evaluation.arm_names import QUICK
from ctkd_cli.evaluation.results import Results
from ctkd_cli.experiment import load
from ctkd_cli.tasks import task

Ctkd = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]) -> Path:
    from ctkd_cli.__main__ import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("rivals"))
        assert main(["run", *tiny_run, "seeds=2"]) == 0
        (found,) = Path("outputs").iterdir()
        return found.absolute()


def settings(run: Path) -> Any:
    return load(yaml.safe_load((run / "config.yaml").read_text()))


def events(run: Path, name: str) -> list[dict[str, Any]]:
    lines = (run / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def best_strength(features: Any, gold: np.ndarray, balanced: str | None = None) -> float:
    """The C whose out-of-fold log-likelihood is best, by scikit-learn's own tools."""
    folds = StratifiedKFold(min(5, np.bincount(gold).min()), shuffle=True, random_state=0)
    weights = len(gold) / np.bincount(gold)[gold] if balanced else None
    losses = {}
    for strength in (0.1, 1, 10, 100):
        model = LogisticRegression(C=strength, max_iter=1000, class_weight=balanced)
        said = cross_val_predict(model, features, gold, cv=folds, method="predict_proba")
        losses[strength] = log_loss(gold, said, sample_weight=weights)
    return min(losses, key=losses.__getitem__)


def test_the_quick_ones_are_in_every_run(run: Path) -> None:
    results = Results.read(run)
    assert [arm for arm in results.arms if arm in QUICK] == [*QUICK]
    assert [results.seeds(arm) for arm in QUICK] == [[1, 2]] * 3
    assert set(QUICK) < set(results.controls)


@pytest.mark.parametrize("seed", [1, 2])
def test_tfidf_is_three_lines_of_scikit_learn(run: Path, seed: int) -> None:
    """On the labelled examples of that seed, and nothing else."""
    target = task.load(settings(run).target, seed)
    rows = target.labelled
    texts, gold = target.train.inputs.select(rows)["text"][:], target.train.labels.values[rows]
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    features = vectorizer.fit_transform(texts)
    model = LogisticRegression(C=best_strength(features, gold), max_iter=1000).fit(features, gold)
    expected = model.predict_proba(vectorizer.transform(target.test.inputs["text"][:]))
    found = Results.read(run).answers("tfidf", seed)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("arm", ["untuned", "cut_body"])
def test_a_body_is_mean_pooled_and_untuned(run: Path, arm: str) -> None:
    """Worked out with transformers, a text at a time."""
    from transformers import AutoModel, AutoTokenizer

    experiment = settings(run)
    target = task.load(experiment.target, 1)
    folder = experiment.teacher.folder
    tokenizer, body = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    if arm == "cut_body":  # student.layers=[0,2]
        body.encoder.layer = torch.nn.ModuleList(body.encoder.layer[at] for at in (0, 2))

    def embedded(texts: list[str]) -> np.ndarray:
        with torch.no_grad():
            states = (body.eval()(**tokenizer(text, return_tensors="pt", truncation=True))
                      .last_hidden_state[0].mean(0) for text in texts)  # fmt: skip
            return np.stack([state.numpy() for state in states]).astype(float)

    rows = target.labelled
    features = embedded(target.train.inputs.select(rows)["text"][:])
    gold = target.train.labels.values[rows]
    model = LogisticRegression(C=best_strength(features, gold), max_iter=1000).fit(features, gold)
    expected = model.predict_proba(embedded(target.test.inputs["text"][:]))
    found = Results.read(run).answers(arm, 1)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)


def test_what_they_cost_is_told(run: Path) -> None:
    """TF-IDF: a weight and an idf for each word or pair, an intercept; two labels share a score."""
    results = Results.read(run)
    words = {event["arm"]: event for event in events(run, "cost")}["tfidf"]
    target = task.load(settings(run).target, 2)  # as last told
    texts = target.train.inputs.select(target.labelled)["text"][:]
    vocabulary = TfidfVectorizer(ngram_range=(1, 2)).fit(texts).vocabulary_
    assert words["parameters"] == 2 * len(vocabulary) + 1
    assert words["throughput"] > results.efficiency["student"]["throughput"] / 100
    assert [event["arm"] for event in events(run, "fitted")] == [*QUICK, *QUICK]


def test_they_are_kept(ctkd: Ctkd, tiny_run: list[str], run: Path) -> None:
    assert ctkd("run", *tiny_run, "seeds=2")[0] == 0
    (again,) = Path("outputs").iterdir()
    reused = [event["stage"] for event in events(again, "reused")]
    assert reused.count(rivals.STAGE) == 2 * len(QUICK)
    for arm in QUICK:
        first, second = (Results.read(each).answers(arm, 1) for each in (run, again))
        np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert Results.read(again).own_costs.keys() == {"tfidf"}


def test_without_its_library_setfit_is_left_out_with_a_word(
    ctkd: Ctkd, tiny_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_setfit, "find_spec", lambda name: None)
    code, _, err = ctkd("run", *tiny_run, "controls=rivals")
    assert code == 0, err
    (found,) = Path("outputs").iterdir()
    assert 'pip install "ctkd[rivals]"' in (found / "run.log").read_text()
    assert [arm for arm in Results.read(found).arms if arm.startswith("setfit")] == []


@pytest.mark.skipif(bool(_setfit.why_not()), reason="setfit is not installed here")
def test_setfit_is_an_arm(ctkd: Ctkd, tiny_run: list[str]) -> None:
    code, out, err = ctkd("run", *tiny_run, "controls=rivals")
    assert code == 0, err
    (found,) = Path("outputs").iterdir()
    for arm in ("setfit", "setfit_teacher"):
        sums = Results.read(found).answers(arm, 1).probabilities.sum(axis=1)
        np.testing.assert_allclose(sums, 1)
    assert "embedding_loss" not in out


def test_images_have_no_words(ctkd: Ctkd) -> None:
    """The other two read what the networks see."""
    small = ["source.limit=200", "target.limit=200", "teacher.training.steps=5"]
    code, _, err = ctkd("run", "experiment=digits", *small, "training.steps=5")
    assert code == 0, err
    (found,) = Path("outputs").iterdir()
    assert [arm for arm in Results.read(found).arms if arm in QUICK] == ["untuned", "cut_body"]
    assert "rival tfidf is left out: it reads texts" in (found / "run.log").read_text()


def drawn(counts: list[int], width: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    gold = np.repeat(np.arange(len(counts)), counts)
    return generator.normal(size=(len(gold), width)) + gold[:, None], gold


@pytest.mark.parametrize(
    ("counts", "balanced"), [([9, 9], False), ([30, 10], False), ([31, 10], True), ([2, 9], True)]
)
def test_rare_classes_are_balanced(counts: list[int], balanced: bool) -> None:
    features, gold = drawn(counts)
    found = _logistic.fit(features, gold, 2)
    assert found.balanced is balanced
    weight = "balanced" if balanced else None
    assert found.strength == best_strength(features, gold, weight)
    expected = LogisticRegression(C=found.strength, max_iter=1000, class_weight=weight)
    np.testing.assert_allclose(
        np.exp(found.logits(features)), expected.fit(features, gold).predict_proba(features)
    )


def test_one_example_of_a_class_leaves_nothing_to_validate() -> None:
    features, gold = drawn([1, 3])
    found = _logistic.fit(features, gold, 2)
    assert (found.strength, found.log_likelihood) == (_logistic.FIXED, None)


def test_labels_without_an_example_are_never_said() -> None:
    features, gold = drawn([5, 5])
    said = np.exp(_logistic.fit(features, 2 * gold, 4).logits(features))
    assert said.shape == (10, 4)
    assert said[:, [1, 3]].max() < 1e-9
    alone = np.exp(_logistic.fit(features, 0 * gold, 4).logits(features))
    assert (alone.argmax(axis=1) == 0).all()


def test_words_of_a_sentence_are_left_out_together() -> None:
    """Two rows of each sentence are the same: apart, one would give the other away."""
    features, gold = drawn([20, 20])
    generator = np.random.default_rng(1)
    gold = generator.permutation(gold)  # nothing to learn but the rows themselves
    twice, labels = np.repeat(features, 2, axis=0), np.repeat(gold, 2)
    together = _logistic.fit(twice, labels, 2, np.repeat(np.arange(40), 2))
    apart = _logistic.fit(twice, labels, 2)
    assert together.log_likelihood is not None
    assert apart.log_likelihood is not None
    assert together.log_likelihood < apart.log_likelihood


def test_texts_without_words_have_the_prior() -> None:
    found = TfIdf.fit(["!", "?", ".", "-"], np.array([0, 0, 0, 1]), 2)
    np.testing.assert_allclose(np.exp(found.logits(["goal"])), [[0.75, 0.25]], atol=1e-3)


def test_static_vectors_are_a_rival(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    """The mean of the vectors of a text's tokens, made to zero mean and unit variance by hand."""
    run = tmp_path / "run"
    code, _, err = ctkd("run", *tiny_run, "controls.rivals=[static]", f"hydra.run.dir={run}")
    assert code == 0, err
    experiment = settings(run)
    target = task.load(experiment.target, 1)
    vectors = Static.made_of(experiment.student)
    kind = experiment.target
    folder, _ = cut(vectors, kind, [(kind, target.train.without_labels())])
    table = load_file(folder / "model.safetensors")["embeddings.weight"].numpy()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def embedded(texts: list[str]) -> np.ndarray:
        mean = np.stack([table[tokenizer(text)["input_ids"]].mean(0) for text in texts])
        centred = mean - mean.mean(axis=1, keepdims=True)
        return np.asarray(centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5))

    rows = target.labelled
    features = embedded(target.train.inputs.select(rows)["text"][:])
    gold = target.train.labels.values[rows]
    model = LogisticRegression(C=best_strength(features, gold), max_iter=1000).fit(features, gold)
    expected = model.predict_proba(embedded(target.test.inputs["text"][:]))
    found = Results.read(run).answers("static", 1)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)
