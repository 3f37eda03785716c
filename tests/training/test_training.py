"""The loop, on scikit-learn's digits, and the pitfalls that public frameworks fell into."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import transformers
from teachers import LABELS, knowledge, terms_of

from ctkd_cli.backbones.convnet import Convnet
from ctkd_cli.cache.entries import Cache
from ctkd_cli.distillation.knowledge import Knowledge
from ctkd_cli.distillation.losses.base import Loss
from ctkd_cli.distillation.losses.hint import Hint
from ctkd_cli.distillation.losses.kl import Kl
from ctkd_cli.distillation.schedules.base import Schedule
from ctkd_cli.distillation.schedules.constant import Constant
from ctkd_cli.distillation.schedules.linear import Linear
from ctkd_cli.distillation.terms import Distillation
from ctkd_cli.errors import TrainingDiverged
from ctkd_cli.runs.console import SilentDisplay
from ctkd_cli.runs.rundir import RunDirectory
from ctkd_cli.runtime import interruption
from ctkd_cli.runtime.devices import Device
from ctkd_cli.tasks.kinds.images import Images
from ctkd_cli.tasks.positions import Labels
from ctkd_cli.training import checkpoints, cpu_kernels, inference
from ctkd_cli.training.checkpoints import Checkpoints
from ctkd_cli.training.inference import LoadedModel
from ctkd_cli.training.objective import Objective, gradient_shares
from ctkd_cli.training.settings import Training
from ctkd_cli.training.trainer import TrainingSet, fit

CONVNET = Convnet(channels=(4, 8))
CPU = Device(accelerator="cpu")


@pytest.fixture
def rundir(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run", SilentDisplay())


def lesson(n: int = 24, labelled: int = 12, seed: int = 0) -> TrainingSet:
    """Images whose brightness is their label."""
    from datasets import Dataset

    generator = np.random.default_rng(seed)
    labels = np.arange(n) % len(LABELS)
    images = 0.2 * generator.normal(size=(n, 8, 8)) + labels[:, None, None] / 2
    inputs = Dataset.from_dict({"image": list(images.astype(np.float32))})
    known = np.where(np.arange(n) < labelled, labels, -1)
    return TrainingSet(Images().encode(inputs, CONVNET.preprocessor()), Labels(known), LABELS)


def loaded(model: Any) -> LoadedModel:
    return LoadedModel(model, CONVNET, CONVNET.preprocessor(), Images(), CPU)


def answers(model: Any, data: TrainingSet) -> np.ndarray:
    return inference.read(loaded(model), data.encoded)


def teaching(
    heard: Knowledge,
    loss: Loss,
    lambda_: float = 1.0,
    schedule: Schedule | None = None,
    **more: Any,
) -> Distillation:
    return Distillation(terms_of(heard, (loss, 1.0)), lambda_, schedule or Constant(), **more)


def student(seed: int = 0) -> Any:
    transformers.set_seed(seed)
    return CONVNET.build(LABELS, Images())


def batch_of(data: TrainingSet) -> dict[str, Any]:
    read = Images().collate(data.encoded.rows, CONVNET.preprocessor())
    labels = torch.from_numpy(data.labels.values)
    return {"inputs": read.inputs, "where": None, "counts": None, "labels": labels}


def heard_by(taught: Distillation, n: int) -> Any:
    return taught.terms.at(np.arange(n), np.zeros(n, np.int64))


def train(
    model: Any, lesson: TrainingSet, rundir: RunDirectory, **settings: Any
) -> list[dict[str, Any]]:
    with rundir.stage("student", "arm") as stage:
        return fit(
            loaded(model), lesson, Training(**{"steps": 12, "learning_rate": 1e-2, **settings}), 1,
            "arm", stage, Checkpoints(rundir.path.parent.name, rundir.path / "checkpoints"),
        )  # fmt: skip


def events(rundir: RunDirectory, event: str) -> list[dict[str, Any]]:
    import json

    lines = (rundir.path / "events.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def test_it_learns(rundir: RunDirectory) -> None:
    model, data = student(), lesson(60, labelled=60)
    train(model, data, rundir, steps=60)
    logits = answers(model, data)
    assert (logits.argmax(axis=1) == data.labels.values).mean() > 0.9


def test_the_same_seed_gives_the_same_weights(rundir: RunDirectory) -> None:
    weights = []
    for _ in range(2):
        model = student()
        train(model, lesson(), rundir)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


def test_the_objective_is_ce_plus_lambda_times_kd() -> None:
    """alpha and T^2 ignored, as in a public framework, would show here."""
    data = lesson(8, labelled=4)
    batch = batch_of(data)
    heard = knowledge(8)
    taught = teaching(heard, Kl(temperature=1.0))
    learner = Objective(loaded(student()), taught, 0.0).eval()
    losses = [
        learner(**batch, teacher=heard_by(taught, 8), lambda_=value, measure=False)
        for value in (0.0, 0.5, 2.0)
    ]
    ce, kd = losses[0]["ce"].item(), losses[0]["kd"].item()
    for value, terms in zip((0.0, 0.5, 2.0), losses, strict=True):
        assert terms["loss"].item() == pytest.approx(ce + value * kd, rel=1e-6)
    logits = learner.model(**batch["inputs"]).logits.detach()
    by_torch = torch.nn.functional.cross_entropy(logits[:4], batch["labels"][:4])
    assert ce == pytest.approx(by_torch.item(), rel=1e-6)


def test_the_projector_trains_with_the_student_and_is_in_its_checkpoint() -> None:
    taught = teaching(knowledge(24), Hint())
    learner = Objective(loaded(student()), taught, 0.0)
    trained = {name for name, _ in learner.named_parameters()}
    assert {"parts.0.projector.weight", "parts.0.projector.bias"} <= trained
    assert {"parts.0.projector.weight", "parts.0.projector.bias"} <= set(learner.state_dict())
    assert not any("head_" in name for name in trained)  # the teacher's head stays frozen


def test_distillation_moves_the_student_where_labels_do_not(rundir: RunDirectory) -> None:
    """Unlabelled inputs take part: with a teacher that always says `a`, they become `a`."""
    data = lesson(24, labelled=6)
    heard = knowledge(24, logits=np.tile(np.float32([9, 0, 0]), (24, 1)))
    model = student()
    taught = replace(data, distillation=teaching(heard, Kl(temperature=1.0), 50.0))
    train(model, taught, rundir, steps=40)
    logits = answers(model, data)
    assert (logits[6:].argmax(axis=1) == 0).mean() > 0.9


def test_the_schedule_is_followed(rundir: RunDirectory) -> None:
    taught = teaching(knowledge(24), Kl(), 2.0, Linear())
    train(student(), replace(lesson(), distillation=taught), rundir, steps=5)
    lambdas = [event["lambda"] for event in events(rundir, "step")]
    np.testing.assert_allclose(lambdas, [2.0, 1.5, 1.0, 0.5, 0.0])


def test_the_ledger_measures_both_terms(rundir: RunDirectory) -> None:
    taught = teaching(knowledge(24), Kl())
    train(student(), replace(lesson(), distillation=taught), rundir, steps=5)
    steps = events(rundir, "step")
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5]
    for event in steps:
        assert 0 < event["kd_share"] < 1
        assert event["loss"] == pytest.approx(event["ce"] + event["kd"], rel=1e-5)


def test_gradient_shares_by_hand() -> None:
    features = torch.ones(1, 2, requires_grad=True)
    ce, first, second = 3 * features.sum(), 1 * features.sum(), 2 * features.sum()
    (alone,) = gradient_shares(features, ce, [first])
    assert alone.item() == pytest.approx(0.25)
    shares = gradient_shares(features, ce, [first, second, torch.zeros(())])
    assert [share.item() for share in shares] == pytest.approx([1 / 6, 2 / 6, 0])


def test_a_mix_is_the_weighted_sum_of_its_terms(rundir: RunDirectory) -> None:
    heard = knowledge(24)
    losses = (Kl(name="kl"), 0.5), (Hint(name="hint"), 2.0)
    taught = Distillation(terms_of(heard, *losses), 3.0, Constant())
    train(student(), replace(lesson(), distillation=taught), rundir, steps=3)
    for event in events(rundir, "step"):
        kd = event["kd/kl"] + event["kd/hint"]
        assert event["kd"] == pytest.approx(kd, rel=1e-5)
        assert event["loss"] == pytest.approx(event["ce"] + 3 * kd, rel=1e-5)
        shares = event["kd_share/kl"] + event["kd_share/hint"]
        assert event["kd_share"] == pytest.approx(shares, rel=1e-5)
    # Each term alone, on the same batch from the same start, has half and twice its own value.
    first = events(rundir, "step")[0]
    for name, loss, weight in (("kl", Kl(), 0.5), ("hint", Hint(), 2.0)):
        directory = RunDirectory(rundir.path.parent / name, SilentDisplay())
        torch.manual_seed(0)
        train(student(), replace(lesson(), distillation=teaching(heard, loss)), directory, steps=1)
        if name == "kl":  # a projector's start depends on what was drawn before it
            alone = events(directory, "step")[0]["kd"]
            assert first[f"kd/{name}"] == pytest.approx(weight * alone, rel=1e-4)


def test_an_example_without_weight_teaches_nothing() -> None:
    data, heard = lesson(8, labelled=4), knowledge(8)
    batch = batch_of(data)

    def kd(weight: np.ndarray) -> float:
        weighting = mock.Mock(at=lambda logits: weight[None])
        taught = Distillation(terms_of(heard, (Kl(), 1.0), weighting=weighting), 1.0, Constant())
        learner = Objective(loaded(student()), taught, 0.0).eval()
        terms = learner(**batch, teacher=heard_by(taught, 8), lambda_=1.0, measure=False)
        return float(terms["kd"].detach())

    each = [kd(np.eye(8)[row]) for row in range(8)]
    assert sum(each) == pytest.approx(kd(np.ones(8)), rel=1e-5)
    assert kd(np.zeros(8)) == 0


@pytest.mark.parametrize("on_conflict", ["keep", "drop", "project"])
@pytest.mark.parametrize("opposed", [False, True])
def test_a_gradient_against_cross_entropy(on_conflict: Any, opposed: bool) -> None:
    """With gradients g and k of the two terms, worked out by hand with autograd."""
    data = lesson(6, labelled=6)
    batch, gold = batch_of(data), data.labels.values
    says = np.eye(3)[(gold + 1) % 3 if opposed else gold]
    heard = knowledge(6, logits=(9 * says).astype(np.float32))
    taught = teaching(heard, Kl(temperature=1.0), on_conflict=on_conflict)
    learner = Objective(loaded(student()), taught, 0.0).eval()
    parameters = list(learner.model.parameters())

    def gradient(value: torch.Tensor) -> np.ndarray:
        found = torch.autograd.grad(value, parameters, retain_graph=True)
        return np.concatenate([g.numpy().ravel() for g in found]).astype(np.float64)

    terms = learner(**batch, teacher=heard_by(taught, 6), lambda_=1.0, measure=False)
    g, k = gradient(terms["ce"]), gradient(terms["kd"])
    assert (g @ k < 0) == opposed
    expected = g + k
    if opposed and on_conflict == "drop":
        expected = g
    elif opposed and on_conflict == "project":
        expected = g + k - (k @ g) / (g @ g) * g
    np.testing.assert_allclose(gradient(terms["loss"]), expected, rtol=1e-3, atol=1e-5)
    if on_conflict != "keep":
        assert bool(terms["conflict"]) == opposed


def test_validation_selects_the_best_weights_and_training_goes_on_in_train_mode(
    rundir: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best may be the first; a metric of 0 is still a metric; dropout must come back."""
    data = lesson(60, labelled=60)
    validation = (
        data.encoded,
        Labels((data.labels.values + 1) % 3),
    )  # the more it learns, the worse it looks
    modes: list[bool] = []
    forward = Objective.forward

    def spy(self: Objective, *args: Any, **kwargs: Any) -> Any:
        modes.append(self.model.training)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(Objective, "forward", spy)
    model = student()
    train(
        model, replace(data, validation=validation), rundir, steps=40, select="best", evaluations=4
    )
    scores = [event["macro_f1"] for event in events(rundir, "validated")]
    assert len(scores) == 4
    assert all(modes)
    logits = answers(model, data)
    from sklearn.metrics import f1_score

    kept = f1_score(validation[1].values, logits.argmax(axis=1), average="macro")
    assert kept == pytest.approx(max(scores))


def test_masks_are_drawn_by_our_kernel_while_training_only(
    rundir: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = mock.Mock(wraps=cpu_kernels.bernoulli_)
    monkeypatch.setattr(cpu_kernels, "bernoulli_", spy)
    model = student()
    model.blocks.append(torch.nn.Dropout(0.3))
    train(model, lesson(), rundir, steps=3)
    assert spy.call_count == 3
    torch.empty(3).bernoulli_(0.5)
    assert spy.call_count == 3


def test_a_broken_loss_stops_the_arm_and_names_the_step(rundir: RunDirectory) -> None:
    heard = knowledge(24, logits=np.full((24, 3), np.nan, np.float32))
    taught = teaching(heard, Kl())
    with pytest.raises(TrainingDiverged, match=r"step 1: loss, kd"):
        train(student(), replace(lesson(), distillation=taught), rundir)


class Killed(BaseException):
    """Nothing in the program expects it, as nothing expects kill -9."""


def assert_same_weights(one: Any, other: Any) -> None:
    """Bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("how", ["killed", "asked"])
@pytest.mark.parametrize("select", ["last", "best"])
def test_a_training_that_was_stopped_goes_on_from_its_checkpoint(
    rundir: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select: str, how: str
) -> None:
    """Weights, best weights, optimiser, projector, dropout and the ledger are as if it had not
    been."""
    if how == "killed":
        monkeypatch.setattr(checkpoints, "EVERY", 0.0)
        monkeypatch.setattr(checkpoints, "COST", float("inf"))
    data = lesson(60, labelled=60)
    taught = replace(
        data, distillation=teaching(knowledge(60), Hint()), validation=(data.encoded, data.labels)
    )
    settings = {"select": select, "evaluations": 4, "steps": 20, "learning_rate": 1e-3}

    def dropping() -> Any:
        model = student()
        model.blocks.append(torch.nn.Dropout(0.3))
        return model

    unbroken = dropping()
    told = train(unbroken, taught, rundir, **settings)
    Cache("checkpoints").drop(tmp_path.name)

    progress = rundir.progress
    steps: list[int] = []

    def stop(title: str, done: int, total: int, figures: Any) -> None:
        progress(title, done, total, figures)
        steps.append(done)
        if len(steps) == 13 and how == "asked":
            os.kill(os.getpid(), signal.SIGINT)
        elif len(steps) == 13:
            raise Killed

    monkeypatch.setattr(rundir, "progress", stop)
    expected = KeyboardInterrupt if how == "asked" else Killed
    with pytest.raises(expected), interruption.remembered():
        train(dropping(), taught, rundir, **settings)
    shutil.rmtree(rundir.path / "checkpoints", ignore_errors=True)  # as the cache does
    again = dropping()
    assert train(again, taught, rundir, **settings) == told
    at = 13 if how == "asked" else 12
    assert steps == [*range(1, 14), *range(at + 1, 21)]
    assert_same_weights(again, unbroken)
    kept = Cache("checkpoints").find(tmp_path.name)
    assert kept is not None  # until the outcome is
    del steps[:]
    late = dropping()
    if how == "killed":  # after its last step
        assert train(late, taught, rundir, **settings) == told
        assert steps == []
        assert_same_weights(late, unbroken)


def test_tied_weights_have_checkpoints_too(
    rundir: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "COST", float("inf"))
    models = [student() for _ in range(2)]
    for model in models:
        model.classifier_again = model.classifier
        train(model, lesson(), rundir)
    assert_same_weights(*models)


def test_a_checkpoint_that_is_damaged_is_not_used(
    rundir: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "EVERY", 0.0)
        train(student(), lesson(), rundir)
    entry = Cache("checkpoints").find(rundir.path.parent.name)
    assert entry is not None
    weights = next(entry.rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    notes: list[str] = []
    monkeypatch.setattr(rundir, "note", notes.append)
    shutil.rmtree(rundir.path / "checkpoints", ignore_errors=True)
    model = student()
    train(model, lesson(), rundir)
    assert any("damaged" in note for note in notes)
    Cache("checkpoints").drop(rundir.path.parent.name)
    unbroken = student()
    train(unbroken, lesson(), rundir)
    assert_same_weights(model, unbroken)


def test_reading_does_not_depend_on_order_or_mode() -> None:
    """Longest-first batches come back in the split's order, and dropout is off."""
    data, model = lesson(130), student()
    lengths = np.random.default_rng(0).permutation(130)
    shuffled = replace(data.encoded, lengths=lengths)
    logits = inference.read(loaded(model), shuffled)
    features = np.empty((130, model.classifier.in_features))
    for read in inference.batches(loaded(model), shuffled):
        features[read.positions] = read.features
    model.eval()
    with torch.no_grad():
        whole = model(**batch_of(data)["inputs"]).logits
    np.testing.assert_allclose(logits, whole.numpy(), atol=1e-5)
    head = model.classifier
    np.testing.assert_allclose(
        features @ head.weight.detach().numpy().T + head.bias.detach().numpy(), logits, atol=1e-5
    )


def test_reading_leaves_the_mode_as_it_was() -> None:
    data, model = lesson(), student().train()
    answers(model, data)
    assert model.training


def test_batches_of_reading_hold_tokens_and_every_row_once() -> None:
    lengths = np.array([5, 100, 3, 40, 40, 7, 1, 38, 36, 20])
    planned = inference.plan(lengths, per_batch=80)
    # 100 alone, although more than 80; 80 // 40 = 2, twice, since 36 is not much less than 38; a
    # quarter of 80 holds one row of 20, two of 7 and six of 3.
    assert [rows.tolist() for rows in planned] == [[1], [3, 4], [7, 8], [9], [5, 0], [2, 6]]
    # Four of 20 fill a batch of 80, and 18 is no less than 7/8 of 20, which 17 is.
    assert [len(rows) for rows in inference.plan(np.array([20, 20, 18, 17]), 80)] == [3, 1]
    assert np.concatenate(inference.plan(np.zeros(3, int), 2)).tolist() == [0, 1, 2]
    assert inference.plan(np.zeros(0, int), 2) == []
