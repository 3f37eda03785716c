"""`ctkd` itself: help, version, mistakes in the command, exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import ctkd_cli
from ctkd_cli import __main__ as cli
from ctkd_cli.errors import InputError, Problem, RunFailed, SweepIncomplete

Ctkd = Callable[..., tuple[int, str, str]]
VERBS = ("run", "list", "config", "check", "fetch", "predict", "report")


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `ctkd list` raise."""

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("ctkd_cli.cli.list.start_hydra", broken)


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_names_every_verb(ctkd: Ctkd, argument: str) -> None:
    code, out, err = ctkd(argument)
    assert (code, err) == (0, "")
    for verb in VERBS:
        assert f" {verb} " in out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_examples_of_it(ctkd: Ctkd, verb: str) -> None:
    code, out, _ = ctkd(verb, "--help")
    assert code == 0
    assert "Example" in out
    assert out.count(f"ctkd {verb}") >= 2  # the usage line, and an example


def test_version(ctkd: Ctkd) -> None:
    assert ctkd("--version") == (0, f"ctkd {ctkd_cli.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], "Did you mean 'run'"),
        (["predict"], "Missing argument 'RUN'"),
        (["predict", "a", "b", "c"], "unexpected extra argument"),
        (["predict", "a", "--format", "xml"], "'csv', 'jsonl'"),
        (["list", "losss"], "did you mean loss?"),
        (["list", "--jsn"], "--json"),
    ],
)
def test_a_mistake_in_the_command_is_exit_2(ctkd: Ctkd, arguments: list[str], says: str) -> None:
    code, out, err = ctkd(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError(Problem("bad")), 2),
        (RunFailed("bad"), 1),
        (SweepIncomplete("bad"), 3),
        (ZeroDivisionError("bad"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    raising(monkeypatch, error)
    got, out, err = ctkd("list")
    assert (got, out) == (code, "")
    assert ("bad" in err) is (code != 130)
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["--debug", "list"], ["list", "--debug"]])
def test_debug_shows_the_traceback(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    raising(monkeypatch, ZeroDivisionError("bad"))
    code, _, err = ctkd(*arguments)
    assert code == 1
    assert "Traceback" in err
    assert "ZeroDivisionError: bad" in err


def test_without_debug_an_unforeseen_error_is_one_line_and_a_hint(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, ZeroDivisionError("bad"))
    line, hint = ctkd("list")[2].splitlines()
    assert line == "error: ZeroDivisionError: bad"
    assert "--debug" in hint


def test_all_problems_are_told_with_a_blank_line_between(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, InputError(Problem("one", where="here"), Problem("two")))
    assert ctkd("list")[2] == "error: one\n  where:   here\n\ntwo\n"


def test_escape_codes_reach_no_terminal(ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, InputError(Problem("bad", got="\x1b[2J\x07[red]x[/red]")))
    err = ctkd("--debug", "list")[2]
    assert "\x1b" not in err
    assert "\\x1b[2J\\x07[red]x[/red]" in err  # shown as it was typed


def test_without_a_verb_the_help_is_shown(ctkd: Ctkd) -> None:
    assert ctkd() == ctkd("--help")


def test_a_closed_pipe_is_no_error() -> None:
    """As in `ctkd list | head -1`, with a reader that is gone before the first line."""
    with subprocess.Popen(
        [sys.executable, "-m", "ctkd_cli", "list", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""
    assert process.returncode in (0, 1)


def test_the_module_and_the_console_script_are_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ctkd_cli", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"ctkd {ctkd_cli.__version__}\n")
    assert callable(cli.run_and_exit)
