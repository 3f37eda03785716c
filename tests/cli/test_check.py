"""`ctkd check`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctkd_cli.preflight import estimate

Ctkd = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A target with a test text that its source trains on."""
    rows = {
        "source": [("goal number one", "sport"), ("song two", "music"), ("song three", "music")],
        "other": [("goal four", "sport"), ("song five", "music")],
        "train": [("striker six", "sport"), ("actor seven sings", "film"), ("eight", "film")],
        "test": [("Goal  number one", "sport"), ("a b c d e f g h", "film")],
    }
    for name, pairs in rows.items():
        lines = ["text,label", *(f"{text},{label}" for text, label in pairs)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return [
        "source=files", "source.train=source.csv", "source.test=other.csv",
        "source.validation_size=0", "target=files", "target.train=train.csv",
        "target.test=test.csv", "target.labels_per_class=1", "loss=hint",
    ]  # fmt: skip


def check(ctkd: Ctkd, *arguments: str) -> dict:  # type: ignore[type-arg]
    code, out, err = ctkd("check", *arguments, "--json")
    assert code == 0, err
    return dict(json.loads(out))


def test_counts_of_the_digits(ctkd: Ctkd) -> None:
    """scikit-learn's own labels, counted by numpy."""
    from sklearn.datasets import load_digits

    held = dict(zip(*np.unique(load_digits().target, return_counts=True), strict=True))
    found = check(ctkd, "experiment=digits")
    for role, digits in (("source", range(5)), ("target", range(5, 10))):
        counts = (found["target"] if role == "target" else found["sources"]["source"])["counts"]
        for digit in digits:
            total = sum(counts[part][str(digit)] for part in counts)
            assert total == (held[digit] if role == "source" else 4 + counts["test"][str(digit)])
    assert found["sources"]["source"]["sizes"] == {
        "unit": "pixels",
        "median": 64,
        "95%": 64,
        "longest": 64,
    }
    target = sum(held[digit] for digit in range(5, 10))
    counted = sum(sum(part.values()) for part in found["target"]["counts"].values())
    assert found["target"]["unlabelled"] == target - counted
    assert found["target"]["labels_spent"] == {"train": 20, "validation": 0}


def test_files_are_described(ctkd: Ctkd, files: list[str]) -> None:
    found = check(ctkd, *files)
    assert found["sources"]["source"]["counts"]["train"] == {"music": 2, "sport": 1}
    assert found["target"]["counts"] == {
        "train": {"film": 1, "sport": 1},
        "validation": {"film": 0, "sport": 0},
        "test": {"film": 1, "sport": 1},
    }
    assert found["target"]["unlabelled"] == 1
    assert found["sources"]["source"]["sizes"]["median"] == 2  # words of [3, 2, 2]
    assert found["sources"]["source"]["sizes"]["longest"] == 3


def test_target_test_examples_that_the_teacher_trains_on_are_counted(
    ctkd: Ctkd, files: list[str], tmp_path: Path
) -> None:
    """Case and spaces make no other example."""
    assert check(ctkd, *files)["overlap"] == {"source": 1}
    assert "1 target test" in " ".join(ctkd("check", *files)[1].split())
    (tmp_path / "test.csv").write_text("text,label\ngoal number two,sport\na b,film\n")
    assert check(ctkd, *files)["overlap"] == {"source": 0}


def test_labels_cannot_inject_escape_codes(ctkd: Ctkd, files: list[str], tmp_path: Path) -> None:
    (tmp_path / "source.csv").write_text("text,label\none,sp\x1b[2Jort\ntwo,[red]m[/red]\n")
    (tmp_path / "other.csv").write_text("text,label\nfour,sp\x1b[2Jort\nfive,[red]m[/red]\n")
    code, out, err = ctkd("check", *files)
    assert code == 0, err
    assert "\x1b[2J" not in out
    assert "[red]m[/red]" in out


def test_a_bridge_of_names_is_shown_without_a_model(ctkd: Ctkd) -> None:
    found = check(ctkd, "bridge=identity")
    assert found["label_map"] == [[1, 0], [0, 1], [0, 0]]  # tech leads nowhere
    out = ctkd("check", "bridge=identity")[1]
    assert "unmapped" in out


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("empty_cache")
def test_a_learned_bridge_says_when_it_is_learned(ctkd: Ctkd) -> None:
    found = check(ctkd)
    assert found["label_map"] is None
    assert "once the teacher has read them" in found["label_map_note"]


def test_what_is_printed(ctkd: Ctkd) -> None:
    code, out, err = ctkd("check")
    assert (code, err) == (0, "")
    assert "labels spent: 8 to train + 0 to validate" in out
    assert "estimated time" in out
    assert "memory" in out


@pytest.mark.usefixtures("empty_cache")
def test_a_cost_that_grows_with_the_work(ctkd: Ctkd) -> None:
    few = check(ctkd, "training.steps=10")["seconds"]
    many = check(ctkd, "training.steps=1000")["seconds"]
    assert many["student distilled"] > 10 * few["student distilled"]
    assert check(ctkd, "teacher.training.steps=1")["seconds"]["teacher"] < few["teacher"]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["lambda=-1"], "lambda"),
        (["target.labels=[sport,tehc]"], "did you mean tech?"),
        (["loss=kl", "experiment=digits"], "loss=kl needs 2 labels that both tasks have"),
        (["loss=dkd"], "loss=dkd needs 3 labels that both tasks have"),
        (["loss=kl_std"], "loss=kl_std needs 3 labels that both tasks have"),
        (["source=digits_low"], "cannot read images"),
    ],
)
def test_what_a_run_would_refuse(ctkd: Ctkd, overrides: list[str], says: str) -> None:
    code, out, err = ctkd("check", *overrides)
    assert (code, out) == (2, "")
    assert says in err


def test_nothing_is_written(ctkd: Ctkd, tmp_path: Path) -> None:
    assert ctkd("check", "experiment=digits")[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["experiment=digits"], ["bridge=identity"]])
def test_torch_is_not_imported(arguments: list[str]) -> None:
    code = (
        "import sys; from ctkd_cli.__main__ import main; code = main(sys.argv[1:]);"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", *arguments], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


@pytest.mark.usefixtures("empty_cache")
def test_a_teacher_in_the_cache_takes_no_time_whatever_it_has_read(
    ctkd: Ctkd, tiny_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has to say of these inputs takes none either; of others it does."""
    monkeypatch.setattr(estimate, "gemm_rate", lambda: 1e6)
    before = check(ctkd, *tiny_run)["seconds"]
    assert before["teacher"] > 0
    assert before["knowledge"] > 0
    code, _, err = ctkd("run", *tiny_run)
    assert code == 0, err
    after = check(ctkd, *tiny_run)["seconds"]
    assert (after["teacher"], after["knowledge"]) == (0, 0)
    others = check(ctkd, *tiny_run, "target.limit=40")["seconds"]
    assert others["teacher"] == 0
    assert others["knowledge"] > 0
    other_teacher = check(ctkd, *tiny_run, "teacher.seed=7")["seconds"]
    assert other_teacher["teacher"] == before["teacher"]


def test_a_run_tells_what_is_to_come_before_it_trains(ctkd: Ctkd, tiny_run: list[str]) -> None:
    code, _, err = ctkd("run", *tiny_run, "seeds=2")
    assert code == 0, err
    lines = err.splitlines()
    (estimated,) = (n for n, line in enumerate(lines) if line.startswith("estimated time: "))
    (hinted,) = (n for n, line in enumerate(lines) if line.startswith("transfer hint: "))
    teacher = next(n for n, line in enumerate(lines) if line.startswith("teacher: "))
    student = next(n for n, line in enumerate(lines) if line.startswith("student alone: "))
    assert estimated < teacher < hinted < student
    (directory,) = Path("outputs").iterdir()
    assert "transfer hint: " in (directory / "run.log").read_text()
