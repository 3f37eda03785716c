"""A teacher that has seen the labelled target examples says nothing of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from teachers import LABELS, bridged, knowledge

from ctkd_cli.distillation.fusion import Weighting
from ctkd_cli.distillation.losses.hint import Hint
from ctkd_cli.distillation.losses.kl import Kl
from ctkd_cli.distillation.terms import Term, Terms

Ctkd = Callable[..., tuple[int, str, str]]
GOLD = [0, 1, -1, -1, 0, -1]


@pytest.mark.parametrize("is_adapted", [False, True])
def test_what_labels_have_shaped_is_not_heard_where_they_are(is_adapted: bool) -> None:
    """Features are; logits are what the teacher said before."""
    given = replace(knowledge(6, labels=LABELS), adapted=is_adapted)
    losses = [Kl(name="kl"), Hint(name="hint")]
    terms = tuple(Term(loss.name, loss, 0) for loss in losses)
    heard = Terms((bridged(given, gold=GOLD),), Weighting((1.0,)), terms)
    of_logits, of_features = heard.at(np.arange(6), np.zeros(6, np.int64))
    assert of_logits["weight"].tolist() == [1.0] * 6
    assert of_features["weight"].tolist() == ([0, 0, 1, 1, 0, 1] if is_adapted else [1] * 6)


def events_of(run: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], ""),
        (["loss=mapped_kl"], "no loss reads features"),
        (["target.labels_per_class=null"], "every input has a label"),
    ],
)
def test_it_is_done_once_for_each_seed_or_said_why_not(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, more: list[str], reason: str
) -> None:
    run = tmp_path / "run"
    settings = [*tiny_run, "teacher.adaptation=contrastive", "seeds=2", *more]
    code, out, err = ctkd("run", *settings, f"hydra.run.dir={run}")
    assert code == 0, err
    told = [event for event in events_of(run) if event["stage"] == "adaptation"]
    if reason:
        assert not told
        assert reason in (run / "report.txt").read_text() or reason in out + err
    else:
        steps = [event for event in told if "pairs" in event]
        assert len({event["seed"] for event in steps}) == 2
        again = ctkd("run", *settings, f"hydra.run.dir={tmp_path / 'again'}")
        assert again[0] == 0
        same = [
            (folder / "predictions.parquet").read_bytes() for folder in (run, tmp_path / "again")
        ]
        assert same[0] == same[1]
