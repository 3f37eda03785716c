"""`student/` alone answers as `ctkd predict` does: its README's code is run, and nothing else."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ctkd = Callable[..., tuple[int, str, str]]
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
TEXTS = [
    "match goal",
    "MATCH Goal Team",
    "match goal team " + "film actor music " * 40,  # longer than target.max_length
    "film actor " * 600,  # longer than the model
    "",
    "the [PAD] match [SEP] </s> film",
]


def as_the_card_says(student: Path, inputs: Any) -> dict[str, float]:
    """What the code of the card prints for these inputs: probabilities by label."""
    (code,) = CODE.findall((student / "README.md").read_text())
    shown = '{"text": "...", "text_pair": "..."}' if isinstance(inputs, dict) else '"..."'
    assert shown in code
    code = code.replace("path/to/student", str(student)).replace(shown, repr(inputs))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    found = eval(printed.getvalue())
    found = found[0] if isinstance(found[0], list) else found
    return {answer["label"]: answer["score"] for answer in found}


def predicted(ctkd: Ctkd, run: Path, rows: list[dict[str, str]]) -> list[dict[str, float]]:
    file = run.parent / "new.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    code, out, err = ctkd("predict", str(run), str(file), "--format", "jsonl")
    assert code == 0, err
    return [json.loads(line)["probabilities"] for line in out.splitlines()]


@pytest.mark.parametrize(
    "was",
    ["regression", "single_label_classification", "multi_label_classification", None],
)
def test_the_card_answers_as_predict_does(
    ctkd: Ctkd, tiny_run: list[str], tiny_bert: Path, tmp_path: Path, was: str | None
) -> None:
    """Whatever the checkpoint was trained for before."""
    model = tmp_path / "checkpoint"
    shutil.copytree(tiny_bert, model)
    config = json.loads((model / "config.json").read_text())
    config |= {
        "problem_type": was,
        "finetuning_task": "stsb",
        "task_specific_params": {"text-classification": {"problem_type": "regression"}},
    }
    (model / "config.json").write_text(json.dumps(config))
    run = tmp_path / "run"
    more = ["target.max_length=16", f"student.model={model}", f"hydra.run.dir={run}"]
    code, _, err = ctkd("run", *tiny_run, *more)
    assert code == 0, err
    saved = json.loads((run / "student" / "config.json").read_text())
    assert saved["problem_type"] == "single_label_classification"
    assert saved["id2label"] == {"0": "entertainment", "1": "sport"}
    assert not saved.get("task_specific_params")
    assert not saved.get("finetuning_task")
    expected = predicted(ctkd, run, [{"id": str(n), "text": t} for n, t in enumerate(TEXTS)])
    for text, probabilities in zip(TEXTS, expected, strict=True):
        found = as_the_card_says(run / "student", text)
        assert found == pytest.approx(probabilities, abs=1e-5), text
        assert sum(found.values()) == pytest.approx(1, abs=1e-5)


def test_the_card_of_pairs(
    ctkd: Ctkd, tiny_run: list[str], tiny_bert: Path, tmp_path: Path
) -> None:
    with (tmp_path / "pairs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "other", "label"])
        for row in range(30):
            writer.writerow([f"match goal {row}", f"team coach {row}", "sport"])
            writer.writerow([f"film actor {row}", f"music band {row}", "entertainment"])
    run = tmp_path / "run"
    pairs = ["target.train=pairs.csv", "target.text_pair=other", "target.max_length=16"]
    code, _, err = ctkd("run", *tiny_run, *pairs, f"hydra.run.dir={run}")
    assert code == 0, err
    rows = [
        {"text": "match goal", "other": "team"},
        {"text": "match " * 30, "other": "film"},
        {"text": "match", "other": "film music " * 300},
    ]
    for row, probabilities in zip(rows, predicted(ctkd, run, rows), strict=True):
        inputs = {"text": row["text"], "text_pair": row["other"]}
        assert as_the_card_says(run / "student", inputs) == pytest.approx(probabilities, abs=1e-5)
