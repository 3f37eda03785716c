"""Texts, labels and settings that would be more than data: shown as they are, and never obeyed."""

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctkd_cli.data import _orange
from ctkd_cli.data.sentences import parse
from ctkd_cli.distillation.bridges.base import LabelMap
from ctkd_cli.errors import CtkdError
from ctkd_cli.runs.spreadsheet import inert, original
from ctkd_cli.settings import credentials

Ctkd = Callable[..., tuple[int, str, str]]
FORMULA = "=cmd|' /C calc'!A0"
LABELS = [FORMULA, "\x1b[2J<script>alert(1)</script>", "two\nlines: forged"]
TOKEN = "hf_" + "Abc123" * 6


def hostile_table(path: Path, n: int = 48) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for row in range(n):
            label = LABELS[row % 3]
            word = ("match", "film", "phone")[row % 3]
            writer.writerow([f"{word} {row} \x1b]0;owned\x07 <img src=x> {FORMULA}", label])
    return path


def starts_a_formula(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.lstrip().startswith(("=", "+", "-", "@"))
    return False


@pytest.fixture
def hostile(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run in which labels, texts, a file's name and the environment are hostile."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "correct-horse")
    file = hostile_table(tmp_path / "=evil <b>\x1b[31m.csv")
    code, out, err = ctkd("run", *tiny_run, f"target.train={file}", "target.labels_per_class=2")
    assert code == 0, err
    for text in (out, err):
        assert "\x1b" not in text
        assert "\x07" not in text
    (run,) = Path("outputs").iterdir()
    return run


def test_a_hostile_run_harms_nobody(hostile: Path, ctkd: Ctkd) -> None:
    # Logs: a line per entry, whatever the labels hold.
    lines = (hostile / "run.log").read_text().splitlines()
    assert all(line[:3] == "202" for line in lines)
    for line in (hostile / "events.jsonl").read_text().splitlines():
        json.loads(line)
    # HTML: texts are texts. (tests/reports look closer.)
    page = (hostile / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    # CSV: no cell is a formula.
    with (hostile / "label_map.csv").open(newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert f"'{FORMULA}" in cells
    assert not any(map(starts_a_formula, cells))
    code, out, _ = ctkd("predict", str(hostile), "=evil <b>\x1b[31m.csv")
    assert code == 0
    cells = [cell for row in csv.reader(io.StringIO(out)) for cell in row]
    assert len(cells) == 49 * 6
    assert not any(map(starts_a_formula, cells))
    # The report is rebuilt from the quoted label map, and knows the labels as they are.
    assert ctkd("report", str(hostile))[0] == 0
    for verb in (["report"], ["compare"], ["compare", "--md"], ["compare", "--csv"]):
        code, out, err = ctkd(verb[0], str(hostile), *verb[1:])
        assert code == 0, err
        assert "\x1b" not in out + err
    # Secrets: nowhere.
    for path in hostile.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert TOKEN.encode() not in content
            assert b"correct-horse" not in content


@pytest.mark.parametrize(
    "override",
    [
        f"source.train=https://me:{TOKEN}@host/a.csv",
        "source.train=https://me:pass%20word@host/a.csv",
        f"teacher.revision={TOKEN}",
        "source.train=https://host/a.csv?token=abcdef",
    ],
)
def test_settings_hold_no_secret(ctkd: Ctkd, override: str, tmp_path: Path) -> None:
    code, out, err = ctkd("run", "source=files", override)
    assert (code, out) == (2, "")
    assert "cannot hold a password or token" in err
    assert "***" in err
    assert not any(secret in err for secret in (TOKEN, "pass%20word", "abcdef"))
    assert list(tmp_path.iterdir()) == []


def test_what_other_libraries_say_is_struck_out(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "0123456789abcdef")

    def broken(*_: object) -> None:
        raise RuntimeError(f"401 for https://u:secret@host/x with {TOKEN} and 0123456789abcdef")

    monkeypatch.setattr("ctkd_cli.cli.list.start_hydra", broken)
    _, _, err = ctkd("--debug", "list")
    assert "https://***@host/x with *** and ***" in err
    assert TOKEN not in err


@pytest.mark.parametrize("text", ["a@b.c", "https://host/a@b", "key=value", "10:30 @ home", "sk-a"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert credentials.redacted(text) == text


@pytest.mark.parametrize("where", ["a callback", "a folder more"])
def test_hydras_own_sections_run_no_code_of_a_yaml(ctkd: Ctkd, tmp_path: Path, where: str) -> None:
    """A callback of Hydra's is an object that a YAML names."""
    evil = tmp_path / ("mine" if where == "a callback" else "more") / "hydra" / "callbacks"
    evil.mkdir(parents=True)
    (evil / "evil.yaml").write_text("evil:\n  _target_: pathlib.Path\n")
    (tmp_path / "mine" / "experiment").mkdir(parents=True, exist_ok=True)
    path = "" if where == "a callback" else f"hydra:\n  searchpath: [file://{tmp_path}/more]\n"
    (tmp_path / "mine" / "config.yaml").write_text(
        f"defaults:\n  - loss: kl\n  - override /hydra/callbacks: evil\n{path}"
    )
    code, _, err = ctkd("run", "--config-dir", "mine")
    assert code == 2, err
    assert "cannot name code" in err or "one folder of yours" in err
    code, _, err = ctkd(
        "run", f"hydra.searchpath=[file://{tmp_path}/more]", "+hydra/callbacks=evil"
    )
    assert code == 2
    assert "one folder of yours" in err


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil"])
def test_archives_write_nowhere(tmp_path: Path, name: str) -> None:
    """Members are read by their names, and none is unpacked."""
    sentences, tabs = tmp_path / "a.tar.gz", tmp_path / "a.zip"
    with tarfile.open(sentences, "w:gz") as archive:
        for member in (name, "hutto_ICWSM_2014.tar.gz"):
            archive.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises((CtkdError, tarfile.TarError)):
        parse(sentences)
    with zipfile.ZipFile(tabs, "w") as package:
        package.writestr(name, "evil")
        package.writestr(f"{_orange.FOLDER}/t.tab", "a\nb\nc\nx\ty\n")
    found = _orange.tabs("t", "t").parse(tabs)
    assert found["t"]["text"] == ["y"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "a.zip"]


@pytest.mark.parametrize("name", ["../elsewhere.arrow", "/elsewhere.arrow"])
def test_a_saved_data_set_stays_in_its_folder(ctkd: Ctkd, tmp_path: Path, name: str) -> None:
    from datasets import Dataset

    Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]}).save_to_disk(tmp_path / "saved")
    state = tmp_path / "saved" / "state.json"
    content = json.loads(state.read_text())
    content["_data_files"] = [{"filename": name}]
    state.write_text(json.dumps(content))
    code, _, err = ctkd("check", "target=saved", "target.folder=saved")
    assert code == 2
    assert "names a file that lies elsewhere" in err


def test_models_bring_no_code_and_nobody_is_asked(
    ctkd: Ctkd, tiny_run: list[str], tiny_bert: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """transformers asks on a terminal whether code may run; y would be an answer."""
    import shutil

    shutil.copytree(tiny_bert, tmp_path / "mine")
    for name, key in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        file = tmp_path / "mine" / name
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "model_type": "mine", "auto_map": {key: "code.It"}}))
    (tmp_path / "mine" / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    code, out, _ = ctkd("run", *tiny_run, "student.model=./mine")
    assert (code, out) == (2, "")
    assert not (tmp_path / "ran").exists()


def test_a_run_of_somebody_else_holds_no_pickle(ctkd: Ctkd, hostile: Path) -> None:
    weights = hostile / "student" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    code, _, err = ctkd("predict", str(hostile), "=evil <b>\x1b[31m.csv")
    assert code != 0
    assert "safetensors" in err


@given(st.text())
def test_a_cell_is_inert_and_can_be_read_back(cell: str) -> None:
    assert not starts_a_formula(inert(cell))
    assert original(inert(cell)) == cell


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_stay_numbers(number: float) -> None:
    assert inert(f"{number:+.3f}") == f"{number:+.3f}"


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=5,
                unique=True))  # fmt: skip
def test_a_label_map_is_read_back(labels: list[str]) -> None:
    import numpy as np

    from ctkd_cli.evaluation.results import Results

    written = LabelMap(tuple(labels), tuple(labels[::-1]), np.eye(len(labels)))
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "label_map.csv").open("w", encoding="utf-8", newline="") as stream:
            stream.write(written.to_csv())
        read = Results(Path(folder)).label_map
    assert (read.source_labels, read.target_labels) == (tuple(labels), tuple(labels[::-1]))
