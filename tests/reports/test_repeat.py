"""Runs that are repeated: the same bytes, and what differs is said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

Ctkd = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def first(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that is over."""
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    code, _, err = ctkd("run", *tiny_run, "name=first")
    assert code == 0, err
    (run,) = Path("outputs").iterdir()
    return run


def newest() -> Path:
    return max(Path("outputs").iterdir(), key=lambda run: run.stat().st_mtime_ns)


def test_a_repeated_run_has_the_same_bytes(
    ctkd: Ctkd, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "another cache"))  # nothing is taken over
    code, out, err = ctkd("run", "--from", str(first))
    assert code == 0, err
    assert f"compared with {first}:" in out
    assert "settings, versions, machine and data: the same" in out
    assert "predictions: the same, byte for byte" in out
    assert "taken from the cache" not in out
    second = newest()
    assert second != first
    for name in ("predictions.parquet", "label_map.csv", "config.yaml", "overrides.yaml"):
        assert (second / name).read_bytes() == (first / name).read_bytes()
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


def test_what_differs_is_said(ctkd: Ctkd, first: Path) -> None:
    """Another seed, another version of a package and of ctkd, another data set."""
    file = first / "environment.json"
    environment = json.loads(file.read_text())
    environment["packages"]["torch"] = "1.0"
    environment["git_commit"] = "0123"
    file.write_text(json.dumps(environment))
    code, out, err = ctkd("run", "--from", str(first), "lambda=0.5", "target.limit=40")
    assert code == 0, err
    now = json.loads((newest() / "environment.json").read_text())["git_commit"]
    for line in (
        "setting target.limit: None before, 40 now",
        "setting lambda: 1.0 before, 0.5 now",
        f"git_commit: 0123 before, {now} now",
        f"package torch: 1.0 before, {version('torch')} now",
        "data of target: ",
        "predictions: not the same",
        "2 stages were taken from the cache; reuse=false trains",  # teacher; what it says of test
    ):
        assert line in out
    assert "setting seed" not in out
    assert "data of source" not in out


def test_what_cannot_be_repeated(ctkd: Ctkd, first: Path) -> None:
    for arguments, says in (
        (["--from", "nowhere"], "no such directory"),
        (["--from", str(first), "-m", "seed=1,2"], "one run is repeated at a time"),
        (["--from", str(first), "lamda=1"], "did you mean lambda?"),
    ):
        code, _, err = ctkd("run", *arguments)
        assert code == 2
        assert says in err
        assert list(Path("outputs").iterdir()) == [first]


def test_environment_json_is_enough_for_a_requirements_file(first: Path) -> None:
    """The command of docs/reliability.md."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("python -c"))
    code = line.split('"')[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(first / "environment.json")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    pinned = {r.name.lower(): str(r.specifier) for r in map(Requirement, done.stdout.splitlines())}
    for package in ("torch", "transformers", "numpy", "hydra-core"):
        assert pinned[package] == f"=={version(package)}"
    assert "ctkd" not in pinned
