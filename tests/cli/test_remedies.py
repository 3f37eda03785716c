"""What a message says to try, tried."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctkd_cli.evaluation.significance import Interval
from ctkd_cli.evaluation.verdict import Verdict
from ctkd_cli.reports.terminal import next_command

Ctkd = Callable[..., tuple[int, str, str]]
LABELS = ("billing", "bug", "feature", "login", "shipping")


def tried(err: str) -> list[str]:
    """What each problem of a message says to try."""
    return re.findall(r"^  try:     (.*)$", err, flags=re.MULTILINE)


@pytest.fixture
def messages(tmp_path: Path) -> Callable[..., list[str]]:
    """A file of 50 messages, with columns of such names."""

    def write(*header: str, labels: tuple[str, ...] = LABELS, n: int = 50) -> list[str]:
        rows = [
            [f"T-{row}", f"the good song of number {row}", labels[row % len(labels)]]
            for row in range(n)
        ]
        lines = [",".join(row) for row in [list(header), *rows]]
        (tmp_path / "messages.csv").write_text("\n".join(lines))
        return ["target=files", "target.train=messages.csv"]

    return write


@pytest.mark.parametrize("names", [("message", "intent"), ("the message", "what it is")])
def test_columns_of_other_names(
    ctkd: Ctkd, messages: Callable[..., list[str]], names: tuple[str, str]
) -> None:
    """`text` is not `intent`, however alike the two look."""
    asked = messages("ticket", *names)
    code, _, err = ctkd("check", *asked)
    assert code == 2
    assert "did you mean" not in err
    remedies = [word for line in tried(err) for word in shlex.split(line)]
    assert remedies == [f"target.text={names[0]}", f"target.label={names[1]}"]
    code, out, err = ctkd("check", *asked, *remedies, "--json")
    assert code == 0, err
    counts = json.loads(out)["target"]["counts"]
    assert set(counts["train"]) == set(LABELS)


def test_a_column_that_the_test_file_lacks_is_named_by_no_setting(
    ctkd: Ctkd, messages: Callable[..., list[str]], tmp_path: Path
) -> None:
    asked = messages("ticket", "text", "label")
    (tmp_path / "test.csv").write_text("body,label\na goal,bug\n")
    code, _, err = ctkd("check", *asked, "target.test=test.csv")
    assert code == 2
    assert "target.test (test.csv)" in err
    assert tried(err) == []


def test_validation_that_leaves_nothing_to_train_on(
    ctkd: Ctkd, messages: Callable[..., list[str]]
) -> None:
    asked = messages("ticket", "text", "label")
    code, _, err = ctkd("check", *asked, "target.validation_size=8")
    assert code == 2
    assert "no example left to train on" in err
    (remedy,) = tried(err)
    setting, _, _ = remedy.partition(",")
    assert setting == "target.validation_size=2"
    code, out, err = ctkd("check", *asked, setting, "--json")
    assert code == 0, err
    counts = json.loads(out)["target"]["counts"]
    assert (counts["train"]["bug"], counts["validation"]["bug"]) == (6, 2)


def test_a_label_with_nothing_to_train_on(
    ctkd: Ctkd, messages: Callable[..., list[str]], tmp_path: Path
) -> None:
    asked = messages("ticket", "text", "label", labels=("bug", "login"))
    (tmp_path / "test.csv").write_text("text,label\na song,bug\na film,login\nthe one,feature\n")
    asked.append("target.test=test.csv")
    code, _, err = ctkd("check", *asked)
    assert code == 2
    (remedy,) = tried(err)
    setting = remedy.removeprefix("more data, or ")
    assert setting == "target.labels=[bug,login]"
    assert ctkd("check", *asked, setting)[0] == 0


@pytest.mark.parametrize(
    "name, remedy", [("a/b", "name=a-b"), ("../../etc", "name=etc"), ("x" * 90, f"name={'x' * 80}")]
)
def test_a_name_that_no_folder_can_have(ctkd: Ctkd, name: str, remedy: str) -> None:
    code, _, err = ctkd("config", f"name={name}")
    assert code == 2
    assert "letters, digits" in err
    assert "pattern" not in err
    assert tried(err) == [remedy]
    assert ctkd("config", remedy)[0] == 0


def test_a_search_with_nothing_to_choose_by_says_what_can_be_set_aside(
    ctkd: Ctkd, messages: Callable[..., list[str]]
) -> None:
    """One labelled example of each label, and none to validate."""
    asked = ["experiment=tune", *messages("ticket", "text", "label", n=50)]
    asked += ["target.labels_per_class=1", "target.validation_size=0"]
    code, _, err = ctkd("run", *asked, "hydra.sweeper.n_trials=1")
    assert code == 2
    (remedy,) = tried(err)
    assert remedy == "target.validation_size=1"
    found = ctkd("check", *asked[1:], remedy, "--json")[1]
    assert json.loads(found)["target"]["counts"]["validation"]["bug"] == 1


@pytest.mark.slow
def test_a_run_that_was_interrupted(tiny_run: list[str], ctkd: Ctkd, tmp_path: Path) -> None:
    """`predict`, `compare` and `report` name `resume`; it ends the run, and then they work."""
    command = [sys.executable, "-m", "ctkd_cli", "run", *tiny_run, "hydra.run.dir=run"]
    with subprocess.Popen(
        [*command, "training.steps=2000"], cwd=tmp_path, env={**os.environ},
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        until = time.monotonic() + 120
        events = tmp_path / "run" / "events.jsonl"
        while not (events.exists() and '"arm": "alone"' in events.read_text()):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    (tmp_path / "t.txt").write_text("goal\n")
    asked = [("predict", "run", "t.txt"), ("compare", "run"), ("report", "run")]
    for words in asked:
        code, _, err = ctkd(*words)
        assert code == 2
        assert set(tried(err)) == {"ctkd resume run"}
    code, _, err = ctkd("resume", "run")
    assert code == 0, err
    for words in asked:
        assert ctkd(*words)[0] == 0


@pytest.mark.parametrize(
    "n_seeds, low, high, leads_to",
    [
        (1, 0.05, 0.15, "run"),
        (2, -0.05, 0.15, "run"),  # inconclusive
        (2, 0.05, 0.15, "predict"),
        (5, -0.05, 0.15, "predict"),
    ],
)
def test_the_next_step(n_seeds: int, low: float, high: float, leads_to: str) -> None:
    results: Any = SimpleNamespace(
        seeds=lambda arm: list(range(1, n_seeds + 1)),
        overrides=["lambda=1", f"seeds={n_seeds}"],
        command=lambda *words: " ".join(["ctkd", "run", *words]),
    )
    verdict = Verdict("alone", 0.9, 0.8, Interval(0.1, low, high), n_seeds, None)
    said = next_command(results, verdict, "outputs/run")
    expected = {"run": "ctkd run lambda=1 seeds=5", "predict": "ctkd predict outputs/run FILE"}
    assert said == expected[leads_to]
