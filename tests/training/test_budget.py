"""How long a training lasts, and how its learning rate goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from ctkd_cli.training.budget import LAST, Budget, has_settled
from ctkd_cli.training.settings import Training

Ctkd = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("decay", ["linear", "cosine", "constant"])
def test_the_rate_goes_as_transformers_has_it(decay: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    budget = Budget(Training(decay=decay, warmup=0.1), 40)  # type: ignore[arg-type]
    theirs = {
        "linear": lambda: get_linear_schedule_with_warmup(optimizer, 4, 40),
        "cosine": lambda: get_cosine_schedule_with_warmup(optimizer, 4, 40),
        "constant": lambda: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1, n / 4)),
    }[decay]()
    for step in range(40):
        assert budget.rate(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        theirs.step()


FALLING = np.linspace(5, 0.5, 300)
LEARNT = np.concatenate([np.linspace(3, 0.2, 80), np.full(220, 0.2)])
PLATEAU = np.full(300, 5.0)  # of a training that has not begun to learn


@pytest.mark.parametrize(
    ("losses", "settled"), [(FALLING, False), (LEARNT, True), (PLATEAU, False), (LEARNT + 2, True)]
)
def test_a_loss_has_settled_when_it_has_fallen_and_falls_no_more(
    losses: np.ndarray, settled: bool
) -> None:
    assert has_settled(losses.tolist()) is settled


def ended(losses: np.ndarray, training: Training) -> Budget:
    budget = Budget(training, len(losses))
    for step, loss in enumerate(losses.tolist(), start=1):
        if step <= budget.ends:
            budget.add(loss)
    return budget


def test_a_training_ends_soon_after_its_loss_has_settled() -> None:
    """It falls by 2.8 / 79 a step until step 80. Of 110 steps the fourth fifth still has 14 from
    before, 0.15 above the last one on average; of 120 it has 8, 0.04 above, less than a twentieth
    of the 2.4 that all have brought."""
    budget = ended(LEARNT, Training(steps="auto"))
    assert budget.ends == 120 + LAST
    assert "settled" in budget.why
    assert budget.rate(budget.ends) == 0
    assert ended(FALLING, Training(steps="auto")).ends == 300
    assert ended(LEARNT, Training(steps=300)).ends == 300


def test_it_goes_on_as_it_was(tmp_path: Path) -> None:
    training = Training(steps="auto")
    whole, first = Budget(training, 300), Budget(training, 300)
    for budget in (whole, first):
        for loss in LEARNT[:104].tolist():
            budget.add(loss)
    first.save(tmp_path)
    second = Budget(training, 300)
    second.go_on(tmp_path)
    assert [second.ends, second.rate(120)] == [whole.ends, whole.rate(120)]


def test_the_clock_ends_a_training(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ["training.steps=100000", "training.max_seconds=1"]
    code, _, err = ctkd("run", *tiny_run, *more, f"hydra.run.dir={run}")
    assert code == 0, err
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    told = {event["arm"]: event for event in events if event["event"] == "ended"}
    assert set(told) == {"alone", "distilled"}
    assert all(event["why"] == "training.max_seconds" for event in told.values())
    assert all(event["step"] < 100000 for event in told.values())
    last = [event for event in events if event["event"] == "step" and event["arm"] == "alone"][-1]
    assert last["learning_rate"] < 1e-3  # of 0.01: it fell to nothing with the time
