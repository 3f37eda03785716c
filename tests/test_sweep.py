"""A sweep's table, from the files of its jobs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
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
    assert (tmp_path / "sweep.html").exists()
    capsys.readouterr()


def scored(
    folder: Path, number: int, overrides: list[str], alone: list[float], distilled: list[float],
    labels: int = 8,
) -> None:  # fmt: skip
    """A job of several seeds with two classes."""
    job(folder, number, overrides, (sum(alone) / len(alone), sum(distilled) / len(distilled)))
    file = folder / str(number) / "metrics.json"
    metrics = json.loads(file.read_text())
    for arm, values in (("alone", alone), ("distilled", distilled)):
        metrics |= {f"{arm}/seed={seed}/macro_f1": v for seed, v in enumerate(values, 1)}
    spent = {"labels/train": labels, "labels/validation": 0, "labels/classes": 2}
    interval = {"gain/macro_f1_low": 0.01, "gain/macro_f1_high": 0.2}
    file.write_text(json.dumps({**metrics, **spent, **interval}))


def test_a_label_curve_tells_what_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone .5 .7 .9 with 4, 16 and 64 labels per class; distilled .8 with 4, for which alone
    needs 32."""
    for number, (given, spent, alone) in enumerate(
        [("4", 8, 0.5), ("16", 32, 0.7), ("null", 128, 0.9)]
    ):
        asked = ["experiment=label_curve", f"target.labels_per_class={given}"]
        scored(tmp_path, number, asked, [alone, alone], [0.8, 0.8], labels=spent)
    sweep.summarise(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "4 labels per class, distilled: macro-F1 0.800; alone needs 32" in out
    assert "8.0 times as many" in out
    page = (tmp_path / "sweep.html").read_text()
    assert "Labels saved" in page
    assert 'href="0/report.html"' in page
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_number_that_is_swept_over_has_a_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, value in enumerate(("1", "0", "0.3")):
        scored(tmp_path, number, [f"lambda={value}"], [0.5, 0.6], [0.6, 0.7 + number / 100])
    found = sweep.Sweep(tmp_path).curve
    assert found is not None
    assert (found.axis, found.at, found.saved) == ("lambda", (0.0, 0.3, 1.0), ())
    assert found.scores["distilled"] == {1: [0.6, 0.6, 0.6], 2: [0.71, 0.72, 0.7]}
    sweep.summarise(tmp_path)
    assert "Labels saved" not in (tmp_path / "sweep.html").read_text()
    capsys.readouterr()


@pytest.mark.parametrize(
    "asked",
    [["loss=kl", "loss=hint", "loss=sp"], ["lambda=1 seed=1", "lambda=2 loss=kl", "lambda=3"]],
)
def test_what_is_no_single_number_has_no_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    for number, overrides in enumerate(asked):
        scored(tmp_path, number, overrides.split(), [0.5], [0.6])
    assert sweep.Sweep(tmp_path).curve is None
    sweep.summarise(tmp_path)
    assert not (tmp_path / "curve.png").exists()
    capsys.readouterr()


def test_the_page_is_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored(tmp_path, 0, ["name=<script>alert(1)</script>"], [0.5], [0.6])
    scored(tmp_path, 1, ["name=b"], [0.5], [0.6])
    job(tmp_path, 2, ["name=c"], None, reason="<img src=x onerror=alert(1)>")
    sweep.summarise(tmp_path)
    page = (tmp_path / "sweep.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    capsys.readouterr()


def test_an_experiment_may_name_what_it_runs_over(
    ctkd: Callable[..., tuple[int, str, str]], tiny_run: list[str]
) -> None:
    """Without -m, and not where the user has set the key."""
    free = [o for o in tiny_run if not o.startswith("target.labels_per_class")]
    code, out, err = ctkd("run", *free, "experiment=label_curve", "seeds=2", "training.steps=2")
    assert code == 0, err
    (directory,) = Path("outputs").iterdir()
    found = sweep.Sweep(directory)
    given = [job.settings["target.labels_per_class"] for job in found.jobs]
    assert given == ["4", "8", "16", "32", "64", "128", "null"]
    assert all(set(job.of_seeds("alone")) == {1, 2} for job in found.jobs)
    assert "labels per class, distilled" in out
    assert ctkd("run", *tiny_run, "experiment=label_curve", "seeds=1", "training.steps=2")[0] == 0
    single = max(Path("outputs").iterdir(), key=lambda path: path.stat().st_mtime)
    assert (single / "report.html").exists()


def test_a_sweeps_reports_can_be_rebuilt(
    ctkd: Callable[..., tuple[int, str, str]], tiny_run: list[str]
) -> None:
    assert ctkd("run", "-m", *tiny_run, "lambda=0,1,2", "training.steps=2")[0] == 0
    (directory,) = Path("outputs").iterdir()
    made = ["sweep.csv", "sweep.html", "curve.png", "0/report.html", "1/metrics.json"]
    before = {name: (directory / name).read_bytes() for name in made}
    for name in made:
        (directory / name).unlink()
    code, out, err = ctkd("report", str(directory))
    assert code == 0, err
    assert "lambda=2" in out
    assert (directory / "sweep.csv").read_bytes() == before["sweep.csv"]
    assert (directory / "1/metrics.json").read_bytes() == before["1/metrics.json"]
    assert all((directory / name).exists() for name in made)
