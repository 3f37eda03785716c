"""Standard input and output that are closed, full or poor in letters; homes and names of files."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctkd_cli.cache.places import cache_root

Ctkd = Callable[..., tuple[int, str, str]]
CTKD = f"{shlex.quote(sys.executable)} -m ctkd_cli"


def shell(command: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """A line of sh, in which `ctkd` is the tool."""
    done = subprocess.run(
        ["sh", "-c", command.replace("ctkd", CTKD)], capture_output=True, cwd=folder,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


def test_predict_into_any_output(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    code, _, err = ctkd("run", *tiny_run, "hydra.run.dir=run")
    assert code == 0, err
    (tmp_path / "new.txt").write_text("match für 日本\n")
    for encoding in ("ascii", "latin-1"):
        code, out, err = shell("ctkd predict run new.txt", tmp_path, PYTHONIOENCODING=encoding)
        assert (code, "note: standard output is " in err) == (0, True)
        shown = "match f\\xfcr \\u65e5\\u672c" if encoding == "ascii" else "für \\u65e5\\u672c"
        assert shown in next(csv.DictReader(io.StringIO(out)))["input"]
        code, out, _ = shell(
            "ctkd predict run new.txt --format jsonl", tmp_path, PYTHONIOENCODING=encoding
        )
        assert (code, json.loads(out)["input"]) == (0, "match für 日本")
    code, out, err = shell("ctkd predict run <&-", tmp_path)
    assert (code, out) == (2, "")
    assert "error: standard input cannot be read" in err
    assert shell("ctkd predict run new.txt >&-", tmp_path) == (0, "", "")
    code, _, err = shell("ctkd predict run new.txt >/dev/full", tmp_path)
    assert (code, err) == (
        1, "error: standard output cannot be written: No space left on device\n",
    )  # fmt: skip


def test_check_and_config_into_ascii(tiny_run: list[str], tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(
        "text,label\n" + "".join(f"match {n},größe\nfilm {n},日本\n" for n in range(20))
    )
    settings = shlex.join([*tiny_run, "target.train=d.csv"])
    code, out, err = shell(f"ctkd check {settings}", tmp_path, PYTHONIOENCODING="ascii")
    assert code == 0, err
    assert "gr\\xf6\\xdfe" in out
    code, out, err = shell(f"ctkd check {settings} --json", tmp_path, PYTHONIOENCODING="ascii")
    assert code == 0, err
    assert set(json.loads(out)["target"]["counts"]["train"]) == {"größe", "日本"}
    code, out, _ = shell("ctkd config target.label=größe", tmp_path, PYTHONIOENCODING="ascii")
    assert code == 0
    assert "label: gr\\xf6\\xdfe" in out


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("predict", "try:     ctkd predict --help"),
        ("predict --nope", "try:     ctkd predict --help"),
        ("cache lst", "try:     ctkd cache --help"),
        ("rnu", "try:     ctkd --help"),
        ("report", "try:     ctkd report --help"),
    ],
)
def test_a_command_that_is_typed_wrongly_points_to_its_own_help(
    ctkd: Ctkd, command: str, says: str
) -> None:
    code, _, err = ctkd(*command.split())
    assert code == 2
    assert says in err
    advice = err.partition("try:")[2].split()
    assert ctkd(*advice[1:])[0] == 0


def test_cache_alone_shows_its_help(ctkd: Ctkd) -> None:
    code, out, err = ctkd("cache")
    assert (code, err) == (0, "")
    assert "clear" in out


@pytest.mark.parametrize(
    "command", ["predict {}", "check student.model={}", "check target=files target.train={}",
                "report {}", "resume {}", "config --config-dir {}", "run hydra.run.dir={}"],
)  # fmt: skip
def test_a_name_that_is_too_long(ctkd: Ctkd, tmp_path: Path, command: str) -> None:
    code, out, err = ctkd(*command.format("a" * 300).split())
    assert (code, out) == (2, "")
    assert "error:" in err
    assert "not a message" not in err
    assert not list(tmp_path.iterdir())


def test_homes(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctkd_cli.cli._directories import outputs

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CTKD_CACHE", "~/c")
    monkeypatch.setenv("CTKD_OUTPUTS", "~/o")
    assert (cache_root(), outputs()) == (tmp_path / "c", tmp_path / "o")
    monkeypatch.setenv("CTKD_CACHE", "~nobodyhasthisname/c")
    code, _, err = ctkd("cache", "list")
    assert code == 2
    assert "CTKD_CACHE=FOLDER" in err
    monkeypatch.delenv("CTKD_CACHE")

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    code, _, err = ctkd("cache", "list")
    assert code == 2
    assert "there is no home folder" in err


def test_python_without_docstrings_is_refused(tmp_path: Path) -> None:
    """transformers 5.23 cannot even be asked for a model then."""
    code, out, err = shell("ctkd check", tmp_path, PYTHONOPTIMIZE="2")
    assert (code, out) == (2, "")
    assert "unset PYTHONOPTIMIZE" in err
    assert shell("ctkd list", tmp_path, PYTHONOPTIMIZE="1")[0] == 0
