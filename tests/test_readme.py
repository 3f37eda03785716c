"""What README.md shows is run, in its own order, with budgets cut to seconds."""

from __future__ import annotations

import glob
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctkd_cli.settings import config_files

Ctkd = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
QUICK = ["training.steps=3", "teacher.training.steps=3", "source.limit=40", "target.limit=40"]
NEEDS_A_HUB = "roberta-base"


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def commands(page: str = README) -> list[str]:
    lines = [line for block in blocks("bash", page) for line in block.splitlines()]
    return [line.partition("  #")[0].strip() for line in lines if line.strip()]


def expanded(words: list[str]) -> list[str]:
    """File patterns replaced by what they match, as a shell does."""
    return [path for word in words for path in sorted(glob.glob(word)) or [word]]


def test_every_command_of_the_tour_works(
    ctkd: Ctkd, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [command for command in commands() if not command.startswith("scripts/")]
    assert len(shown) >= 10
    (header, *rows) = blocks("csv")[0].strip().splitlines()
    lines = [f"{n} {row}" for n in range(40) for row in rows]
    Path("reviews.csv").write_text("\n".join([header, *lines]))
    (sentence,) = blocks("conll")
    for name in ("news", "letters"):
        Path(f"{name}.conll").write_text("\n".join(f"{name}{n} O\n{sentence}" for n in range(40)))
    for command in shown:
        left, pipe, right = command.rpartition(" | ")
        if pipe:
            monkeypatch.setattr(
                sys, "stdin", io.TextIOWrapper(io.BytesIO(shlex.split(left)[1].encode()))
            )
        words = shlex.split(right)
        assert words[0] == "ctkd"
        arguments = expanded(words[1:])
        if "RUN" in arguments:
            runs = [path for path in Path("outputs").iterdir() if (path / "student").is_dir()]
            arguments[arguments.index("RUN")] = str(runs[0])
        if NEEDS_A_HUB in command or "my-model" in command:
            arguments = [re.sub(r"model=\S+", f"model={tiny_bert}", word) for word in arguments]
            arguments = [word for word in arguments if "fine_tuned" not in word]
        if arguments[0] == "run":
            if "label_curve" in command:
                arguments += ["seeds=1", "student=minilm_l2"]
            if "tune" in command:
                arguments += ["student=minilm_l2"]
            whole = "target=files" in command
            arguments += [o for o in QUICK if not whole or "limit" not in o]
            arguments += [] if "seeds=" in " ".join(arguments) else ["seeds=1"]
        code, out, err = ctkd(*arguments)
        assert code == 0, f"{command}\n{err}"
        assert out, command


DOCS = ROOT / "docs"
SHOWN = commands((DOCS / "losses-and-bridges.md").read_text())
SLOW = commands((DOCS / "sweeps.md").read_text())


@pytest.mark.parametrize("command", SHOWN + [pytest.param(c, marks=pytest.mark.slow) for c in SLOW])
def test_every_command_of_the_docs_works(ctkd: Ctkd, command: str) -> None:
    words = shlex.split(command)
    assert words[0] == "ctkd"
    code, _, err = ctkd(*words[1:], *QUICK, *([] if "seed" in command else ["seeds=1"]))
    assert code == 0, err


def test_the_refusal_that_it_shows_is_the_one_that_is_given(ctkd: Ctkd) -> None:
    (shown,) = blocks("console")
    command, _, expected = shown.partition("\n")
    code, _, err = ctkd(*shlex.split(command.removeprefix("$ ctkd ")))
    assert code == 2
    assert err == expected


def test_the_yaml_that_it_shows_runs(ctkd: Ctkd, tmp_path: Path) -> None:
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "reviews.yaml").write_text(blocks("yaml")[0])
    lines = [f"{n} gut {n};good\n{n} übel;bad" for n in range(20)]
    (tmp_path / "reviews.csv").write_text("review;stars\n" + "\n".join(lines))
    code, out, err = ctkd("check", "--config-dir", "mine", "target=reviews")
    assert code == 0, err
    assert "good" in out


def test_the_groups_table_is_complete() -> None:
    table = README.partition("## The groups")[2].partition("## What a run leaves")[0]
    for group in config_files.GROUPS:
        assert f"`{group}`" in table
        if group not in ("source", "target"):
            for option in config_files.options(group):
                assert f"`{option}`" in table, f"{group}={option}"


def test_the_two_commands_are_there() -> None:
    for script in ("ctkd", "test"):
        path = ROOT / "scripts" / script
        assert f"scripts/{script}" in README
        done = subprocess.run(["bash", "-n", path], capture_output=True, check=False)
        assert done.returncode == 0
        assert path.stat().st_mode & 0o111


def test_linked_files_exist() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
