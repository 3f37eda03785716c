"""Which examples each step sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctkd_cli.experiment import of_overrides
from ctkd_cli.tasks import task as tasks
from ctkd_cli.training import batches
from ctkd_cli.training.batches import as_drawn
from ctkd_cli.training.settings import Training

LABELLED = np.arange(8)
UNLABELLED = np.arange(8, 108)
LENGTHS = np.random.default_rng(0).integers(3, 60, size=108)


def test_student_alone_sees_the_labelled_part_of_the_distilled_plan() -> None:
    plan = batches.plan(LABELLED, UNLABELLED, LENGTHS, Training(steps=30, batch_size=32), seed=1)
    alone = plan.labelled_only()
    assert len(alone) == len(plan) == 30
    for whole, part in zip(plan, alone, strict=True):
        assert whole[: len(part)] == part
        assert set(part) <= set(LABELLED)
        assert set(whole[len(part) :]) <= set(UNLABELLED)


def test_every_example_is_seen_equally_often() -> None:
    plan = batches.plan(LABELLED, UNLABELLED, LENGTHS, Training(steps=25, batch_size=32), seed=1)
    # 8 labelled and 24 unlabelled per batch: 25 passes over 8, 6 passes over 100
    assert np.all(np.bincount(plan.labelled.ravel(), minlength=8) == 25)
    assert np.all(np.bincount(plan.unlabelled.ravel(), minlength=108)[8:] == 6)


def test_the_plan_follows_from_the_seed() -> None:
    training = Training(steps=5, batch_size=16)
    first, again, other = (
        list(batches.plan(LABELLED, UNLABELLED, LENGTHS, training, seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_batches_group_examples_of_like_length() -> None:
    rows = np.arange(2000)
    lengths = np.random.default_rng(1).integers(1, 500, size=2000)
    plan = batches.plan(rows, rows[:0], lengths, Training(epochs=1, batch_size=20), seed=3)
    spread = np.ptp(lengths[plan.labelled], axis=1)
    assert np.median(spread) < 30  # random batches of 20 would spread over about 450


def test_labelled_and_unlabelled_of_a_batch_are_of_like_length() -> None:
    lengths = np.random.default_rng(1).integers(1, 500, size=2000)
    training = Training(steps=50, batch_size=20, labelled_per_batch=5)
    plan = batches.plan(np.arange(500), np.arange(500, 2000), lengths, training, seed=3)
    whole = lengths[np.concatenate([plan.labelled, plan.unlabelled], axis=1)]
    padding = 1 - np.mean([row.sum() / (20 * row.max()) for row in whole])
    assert padding < 0.1  # dealt out at random, half would be padding


def test_padding_share_by_hand() -> None:
    plan = batches.Plan(np.array([[0, 1], [2, 3]]), np.empty((2, 0), np.int64))
    # (1 + 3) of 2 x 3, and (4 + 4) of 2 x 4
    assert batches.padding_share(plan, np.array([1, 3, 4, 4])) == pytest.approx(1 - 12 / 14)


@pytest.mark.parametrize(
    ("n_labelled", "n_unlabelled", "expected"),
    [(8, 250, 8), (4, 250, 4), (1000, 0, 32), (20, 0, 20), (500, 500, 16), (900, 100, 29)],
)
def test_labelled_per_batch(n_labelled: int, n_unlabelled: int, expected: int) -> None:
    assert batches.labelled_per_batch(Training(batch_size=32), n_labelled, n_unlabelled) == expected


def test_epochs_count_inputs() -> None:
    assert batches.n_steps(Training(epochs=2, batch_size=32), 320) == 20
    assert batches.n_steps(Training(epochs=1, batch_size=32), 33) == 2
    assert batches.n_steps(Training(steps=7, epochs=2, batch_size=32), 320) == 7
    assert batches.n_steps(Training(epochs=2, batch_size=32), 8) == 2


def test_only_what_is_drawn_is_read(tmp_path: Path) -> None:
    """2 steps of 32 with 8 labelled ones: 2 * 24 = 48 of 90 unlabelled inputs; every seed's the
    same, but for what a seed has labelled."""
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    rows = [f"message {number},{'ab'[number % 2]}" for number in range(100)]
    train.write_text("\n".join(["text,label", *rows, ""]))
    test.write_text("text,label\nnothing like it,a\nneither is this,b\n")
    experiment = of_overrides(
        ["target=files", f"target.train={train}", f"target.test={test}",
         "target.labels_per_class=5"]
    )  # fmt: skip
    training = experiment.training.model_copy(update={"steps": 2})
    read = {}
    for seed in (1, 2):
        task = tasks.load(experiment.target, seed)
        drawn, own = as_drawn(task, training)
        assert len(drawn.train) == 10 + 48
        assert drawn.labelled.size == 10
        assert own.labelled_per_batch == 8
        assert any("48 of 90" in note for note in drawn.notes)
        hidden = np.flatnonzero(~drawn.train.labels.labelled)
        read[seed] = set(drawn.train.select(hidden).ids)
    assert len(read[1] ^ read[2]) <= 20  # 10 labelled ones each
    enough = experiment.training.model_copy(update={"steps": 4})
    assert as_drawn(task, enough) == (task, enough)  # 96 draws
