"""A sweep's table, from the files of its jobs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from ctkd_cli import sweep


def job(
    folder: Path, number: int, overrides: list[str], figures: tuple[float, float] | None,
    reason: str = "",
) -> None:  # fmt: skip
    """What a job leaves: figures are macro-F1 of alone and distilled; None when it failed."""
    directory = folder / str(number)
    directory.mkdir()
    status = {"status": "complete" if figures else "failed", "reason": reason}
    (directory / "status.json").write_text(json.dumps(status))
    (directory / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    if figures:
        alone, distilled = figures
        metrics = {
            "alone/macro_f1": alone, "distilled/macro_f1": distilled,
            "gain/macro_f1": distilled - alone, "distilled/accuracy": 0.9,
        }  # fmt: skip
        (directory / "metrics.json").write_text(json.dumps(metrics))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_per_job_in_the_order_of_their_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (10, 2, 0):
        job(tmp_path, number, [f"lambda={number}", "seed=1"], (0.5, 0.6))
    assert sweep.summarise(tmp_path) == []
    found = rows(tmp_path)
    assert [row["job"] for row in found] == ["0", "2", "10"]
    assert [row["lambda"] for row in found] == ["0", "2", "10"]
    assert float(found[0]["gain/macro_f1"]) == pytest.approx(0.1)
    capsys.readouterr()


def test_means_and_the_paired_interval_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gains .1, .2, .3: mean .2, sd .1, t(.975, 2) = 4.3027, so .2 -+ 4.3027 * .1 / sqrt(3)."""
    for number, distilled in enumerate((0.6, 0.7, 0.8)):
        job(tmp_path, number, ["lambda=1", f"seed={number}"], (0.5, distilled))
    job(tmp_path, 3, ["lambda=2", "seed=0"], (0.5, 0.4))
    sweep.summarise(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "lambda=1 3 0.500 0.700 +0.200 (-0.048 to +0.448)" in out
    assert "lambda=2 1 0.500 0.400 -0.100" in out  # one seed: no interval


def test_settings_that_all_jobs_share_are_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, loss in enumerate(("kl", "hint")):
        job(tmp_path, number, ["experiment=smoke", f"loss={loss}"], (0.5, 0.6))
    sweep.summarise(tmp_path)
    out = capsys.readouterr().out
    assert "loss=kl" in out
    assert "experiment=smoke" not in out


def test_failed_jobs_are_returned_and_listed_with_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path, 0, ["seed=1"], (0.5, 0.6))
    job(tmp_path, 1, ["seed=2"], None, reason="the loss became \x1b[31mNaN")
    failed = sweep.summarise(tmp_path)
    assert [(job.name, job.reason) for job in failed] == [("1", "the loss became \x1b[31mNaN")]
    out = capsys.readouterr().out
    assert "job 1 failed: the loss became" in out
    assert "\x1b" not in out
    assert [(row["status"], row["reason"]) for row in rows(tmp_path)] == [
        ("complete", ""), ("failed", "the loss became \x1b[31mNaN"),
    ]  # fmt: skip


def test_overrides_with_an_equals_sign_in_their_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path, 0, ["+bridge.map={a: b}", "name='a=b'"], (0.5, 0.6))
    sweep.summarise(tmp_path)
    assert rows(tmp_path)[0]["name"] == "'a=b'"
    assert rows(tmp_path)[0]["bridge.map"] == "{a: b}"
    capsys.readouterr()


def test_a_sweep_without_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.summarise(tmp_path) == []
    assert rows(tmp_path) == []
    capsys.readouterr()
