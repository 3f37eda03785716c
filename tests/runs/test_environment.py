"""Which changes of our code train an arm again."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import ctkd_cli
from ctkd_cli.runs import environment

ROOT = Path(ctkd_cli.__file__).parent
# What computing modules import of the others: none of it decides a weight or an answer that the
# settings and hashes in an arm's key do not decide already.
BESIDE = {
    *("cache", "data", "errors", "experiment", "runs", "settings", "evaluation.arm_names"),
    *("runtime.interruption", "runtime.lazy", "runtime.memory", "runtime.streams"),
}


@pytest.mark.parametrize(
    ("changed", "trains_again"),
    [
        ("reports/text.py", False),
        ("cli/run.py", False),
        ("sweep/job.py", False),
        ("runs/console.py", False),
        ("preflight/estimate.py", False),
        ("arms/record.py", False),
        ("distillation/losses/kl.py", True),
        ("training/trainer.py", True),
        ("tasks/kinds/text.py", True),
        ("backbones/huggingface.py", True),
        ("arms/student.py", True),
        ("evaluation/metrics.py", True),
    ],
)
def test_a_change_trains_again_where_it_may_change_an_arm(
    changed: str, trains_again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Path(shutil.copytree(ROOT, tmp_path / "ctkd_cli"))
    monkeypatch.setattr(ctkd_cli, "__file__", str(copied / "__init__.py"))
    before = environment.code_hash()
    with (copied / changed).open("a") as stream:
        stream.write("# another sentence\n")
    assert (environment.code_hash() != before) is trains_again


def computing() -> Iterator[Path]:
    for pattern in environment.COMPUTES:
        found = [*ROOT.glob(pattern)]
        assert found, pattern
        yield from (
            file for file in found if file.relative_to(ROOT).as_posix() not in environment.TELLS
        )


def test_what_computes_is_all_there() -> None:
    """Whatever a computing module imports computes too, or is known not to."""
    assert all((ROOT / name).is_file() for name in environment.TELLS)
    files = set(computing())
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ctkd_cli"):
                for alias in node.names:
                    names = [*(node.module or "").split(".")[1:], alias.name]
                    ours = [ROOT.joinpath(*names[:n]).with_suffix(".py") for n in (-1, None)]
                    known = {".".join(names[:n]) for n in range(1, len(names) + 1)} & BESIDE
                    tells = {path.relative_to(ROOT).as_posix() for path in ours} & set(
                        environment.TELLS
                    )
                    rooms = ROOT.joinpath(*names).is_dir()
                    assert files & {*ours} or known or tells or rooms, (file, node.module)
