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
from ctkd_cli.training.settings import TeacherSettings

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
    ("way", "trained"),
    [
        ("contrastive", 1),
        ("fine_tune", 1),
        ("[none,contrastive]", 1),
        ("[none,probe,fine_tune,contrastive]", 2),
        ("probe", 0),
        ("auto", 1),
    ],
)
def test_it_is_done_once_for_each_seed(
    ctkd: Ctkd,
    tiny_run: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    trained: int,
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    settings = [*tiny_run, f"teacher.adaptation={way}", "seeds=2", "controls=full"]
    run = tmp_path / "run"
    code, _, err = ctkd("run", *settings, f"hydra.run.dir={run}")
    assert code == 0, err
    told = [event for event in events_of(run) if event["stage"] == "adaptation"]
    begun = [event for event in told if event["event"] == "batches"]
    others = ("adaptation generic", "adaptation random")  # teachers of controls
    assert sum(not event["arm"].startswith(others) for event in begun) == 2 * trained
    again = ctkd("run", *settings, f"hydra.run.dir={tmp_path / 'again'}")
    assert again[0] == 0
    same = [(folder / "predictions.parquet").read_bytes() for folder in (run, tmp_path / "again")]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["loss=mapped_kl"], "no loss reads features"),
        (["target.labels_per_class=null"], "every input has a label"),
    ],
)
def test_why_it_is_not_done_is_said(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, more: list[str], reason: str
) -> None:
    run = tmp_path / "run"
    settings = [*tiny_run, "teacher.adaptation=contrastive", *more]
    code, out, err = ctkd("run", *settings, f"hydra.run.dir={run}")
    assert code == 0, err
    assert not [event for event in events_of(run) if event["stage"] == "adaptation"]
    assert reason in out + err


def test_a_probe_makes_a_teacher_say_the_labels_of_the_target(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path
) -> None:
    """Losses on logits then serve tasks that share no label."""
    named = "target.labels={sport: Sports, entertainment: Shows}"
    run = tmp_path / "run"
    code, _, err = ctkd("run", *tiny_run, named, "loss=kl", f"hydra.run.dir={run}")
    assert code == 2
    assert "teacher.adaptation=probe" in err
    settings = [*tiny_run, named, "loss=kl", "teacher.adaptation=probe"]
    code, _, err = ctkd("run", *settings, f"hydra.run.dir={run}")
    assert code == 0, err
    label_map = (run / "label_map.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in label_map[1:]] == ["Sports", "Shows"]


def test_several_ways_share_lambda(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    """The student hears their average: cross-entropy to several targets, each with its share, has
    the gradient of that to their mean."""
    run = tmp_path / "run"
    ways = "teacher.adaptation=[none,contrastive]"
    code, _, err = ctkd("run", *tiny_run, ways, f"hydra.run.dir={run}")
    assert code == 0, err
    (told,) = (event for event in events_of(run) if event["stage"] == "bridge")
    assert told["weights"] == {"teacher": 0.5, "teacher contrastive": 0.5}
    assert told["shares"] == {"source": 1.0}


def test_auto_is_for_few_labels() -> None:
    teacher = TeacherSettings(adaptation="auto")
    assert teacher.ways(100) == ("none", "contrastive")
    assert teacher.ways(101) == ("none",)
    assert TeacherSettings(adaptation=("none", "none", "probe")).ways(5) == ("none", "probe")
