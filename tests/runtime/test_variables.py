"""Variables of the environment: only settings decide what a run computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctkd_cli.cache.entries import content_key
from ctkd_cli.runtime import variables

Ctkd = Callable[..., tuple[int, str, str]]
HEEDED = {
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "ACCELERATE_USE_CPU": "true",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "PMI_SIZE": "2",
    "OMPI_COMM_WORLD_SIZE": "2",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "XLA_USE_BF16": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
# Runs `ctkd`, and says which modules reports were the first to import.
WATCHED = """
import sys
from ctkd_cli.__main__ import main
import ctkd_cli.run as story
write = story.reports.write_reports
def watched(directory):
    before = set(sys.modules)
    found = write(directory)
    late = set(sys.modules) - before
    print("IMPORTED LATE", [n for n in late if n.partition(".")[0] not in sys.stdlib_module_names])
    return found
story.reports.write_reports = watched
sys.exit(main())
"""


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def test_only_settings_decide(tiny_run: list[str], tmp_path: Path) -> None:
    """A run with every variable set: the weights of a run with none, all of it from the cache of
    the other, and reports although matplotlib was told of a backend that is not there."""
    for name, environment in {"clean": {}, "set": HEEDED}.items():
        arguments = ["run", *tiny_run, f"hydra.run.dir={tmp_path / name}"]
        done = run(arguments, CTKD_CACHE=str(tmp_path / f"cache-{name}"), **environment)
        assert done.returncode == 0, done.stderr
        assert "IMPORTED LATE []" in done.stdout
        told = [line for line in done.stderr.splitlines() if "is not used" in line]
        assert len(told) == len(environment.keys() - {"MPLBACKEND"})
    clean, with_them = (
        (tmp_path / name / "predictions.parquet").read_bytes() for name in ("clean", "set")
    )
    assert clean == with_them


def test_variables_that_choose_kernels_are_part_of_every_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in variables.KEYED:
        monkeypatch.delenv(name, raising=False)
    plain = content_key("anything")
    for name in variables.KEYED:
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert content_key("anything") != plain
            assert variables.recorded()[name] == "1"
    assert content_key("anything") == plain


def test_environment_json_names_what_rounds(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert ctkd("run", *tiny_run, "training.steps=2", f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    found = json.loads((tmp_path / "run" / "environment.json").read_text())["variables"]
    assert found["MKL_CBWR"] == "COMPATIBLE"
    assert found["OMP_NUM_THREADS"] == os.environ["OMP_NUM_THREADS"]


WHOLE = {
    "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {"WORLD_SIZE": "2"},
        {"LOCAL_RANK": "0"},
        {"RANK": "1"},
        {**WHOLE, "WORLD_SIZE": "two"},
        {**WHOLE, "RANK": "2"},
        {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"},
    ],
    ids=lambda given: " ".join(given),
)  # fmt: skip
def test_half_of_torchrun(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    code, out, err = ctkd("list")
    assert (code, out) == (2, "")
    assert "error: some of torchrun's variables are set and others are not" in err
    (remedy,) = (line.partition("try:")[2].strip() for line in err.splitlines() if "try:" in line)
    assert remedy.startswith("unset ")
    for name in remedy.partition(";")[0].split()[1:]:
        monkeypatch.delenv(name)
    assert ctkd("list")[0] == 0


@pytest.mark.parametrize("given", [{}, {"WORLD_SIZE": "1"}, {"MASTER_ADDR": "node1"}], ids=str)
def test_what_says_nothing_of_processes(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ctkd("list")[0] == 0
