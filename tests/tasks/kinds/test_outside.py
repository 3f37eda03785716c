"""A kind of one's own, registered through an entry point: two positions for each example and a
metric of which less is better go through every verb, and nothing else knows of them."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ctkd_cli.settings import component

Ctkd = Callable[..., tuple[int, str, str]]
TOPICS = {
    "sport": ["match", "goal", "team", "player"],
    "tech": ["phone", "net", "software", "user"],
    "music": ["band", "song", "album", "chart"],
}


@pytest.fixture(scope="module")
def kind() -> Iterator[None]:
    """An installed package with the kind."""
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        shutil.copy(Path(__file__).with_name("ends.py"), Path(folder, "kind_of_ends.py"))
        info = Path(folder, "kind_of_ends-1.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kind-of-ends\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[ctkd.tasks]\nends = kind_of_ends:Ends\n")
        patch.syspath_prepend(folder)
        component._third_party.cache_clear()
        yield
    component._third_party.cache_clear()
    sys.modules.pop("kind_of_ends", None)


def write(file: Path, topics: list[str], n: int, seed: int) -> str:
    generator = random.Random(seed)
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["text", "label"])
        for _ in range(n):
            ends = generator.choices(topics, k=2)
            first, last = (generator.choice(TOPICS[topic]) for topic in ends)
            middle = " ".join(
                generator.choices(
                    ["the", "a", "of", "in", "to", "and", "is", "was", "for", "on"], k=4
                )
            )
            rows.writerow([f"{first} {middle} {last}", "+".join(ends)])
    return str(file)


@pytest.fixture(scope="module")
def settings(kind: None, tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> list[str]:
    folder = tmp_path_factory.mktemp("ends")
    source = write(folder / "source.csv", [*TOPICS], 120, seed=1)
    target = write(folder / "target.csv", ["sport", "tech"], 100, seed=2)
    return [
        "source=files", f"source.train={source}", "source.kind=ends", "target=files",
        f"target.train={target}", "target.kind=ends", "target.labels_per_class=8",
        f"teacher.model={tiny_bert}", f"student.model={tiny_bert}", "student.layers=[0,2]",
        "teacher.training.steps=30", "teacher.training.learning_rate=0.01", "training.steps=12",
        "training.learning_rate=0.01", "device=cpu",
    ]  # fmt: skip


def test_a_run_is_judged_by_mistakes(ctkd: Ctkd, settings: list[str], tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    named = f"hydra.run.dir={run}"
    code, out, err = ctkd("run", *settings, named, "seeds=2", "controls=full")
    assert code == 0, err
    assert "mistakes" in out
    assert "macro-F1" not in out
    table = pq.read_table(run / "predictions.parquet").to_pylist()
    scores = json.loads((run / "metrics.json").read_text())
    own = [row for row in table if row["arm"] == "distilled"]
    pairs = [pair for row in own for pair in zip(row["gold"], row["predicted"], strict=True)]
    assert len(pairs) == 2 * len(own)
    by_hand = sum(gold != said for gold, said in pairs) / len(pairs)  # seeds have equal tests
    assert scores["distilled/mistakes"] == pytest.approx(by_hand)
    status = json.loads((run / "status.json").read_text())
    assert status["metric"]["higher_is_better"] is False

    code, _, err = ctkd("run", *settings, f"hydra.run.dir={other}", "seeds=2", "lambda=0.1")
    assert code == 0, err
    code, out, err = ctkd("compare", str(run), str(other))
    assert code == 0, err
    assert "mistakes" in out
    (run / "report.html").unlink()
    code, _, err = ctkd("report", str(run))
    assert code == 0, err
    assert "mistakes" in (run / "report.html").read_text()

    (tmp_path / "new.txt").write_text("match the of phone\nsoftware is a goal\n")
    code, out, err = ctkd("predict", str(run), str(tmp_path / "new.txt"), "--format", "jsonl")
    assert code == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    assert [len(answer["predicted"]) for answer in answers] == [2, 2]
    assert {name for answer in answers for name in answer["predicted"]} <= {"sport", "tech"}
    code, out, err = ctkd("predict", str(run), str(tmp_path / "new.txt"))
    assert code == 0, err
    header, *rows = csv.reader(out.splitlines())
    assert header == ["id", "input", "predicted", "p"]
    for row, answer in zip(rows, answers, strict=True):
        assert json.loads(row[2]) == answer["predicted"]
        assert json.loads(row[3]) == pytest.approx(answer["probabilities"], abs=1e-6)


def test_a_run_that_was_stopped_is_resumed(
    ctkd: Ctkd, settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("ctkd_cli.run.train_arm", _stop)
        code, _, _ = ctkd("run", *settings, f"hydra.run.dir={run}")
        assert code != 0
    code, _, err = ctkd("resume", str(run))
    assert code == 0, err
    assert json.loads((run / "status.json").read_text())["status"] == "complete"


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_sweep_is_told_in_mistakes(ctkd: Ctkd, settings: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    named = f"hydra.sweep.dir={sweep}"
    code, out, err = ctkd("run", "-m", *settings, "target.validation_size=4", "lambda=0,1,3", named)
    assert code == 0, err
    assert "mistakes" in out
    with (sweep / "sweep.csv").open(newline="") as opened:
        told = {row["job"]: row for row in csv.DictReader(opened)}
    for job, row in told.items():
        found = json.loads((sweep / job / "metrics.json").read_text())
        assert float(row["distilled/mistakes"]) == pytest.approx(found["distilled/mistakes"])
    assert len(told) == 3


def test_a_search_looks_for_the_fewest_mistakes(
    ctkd: Ctkd, settings: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    folder = tmp_path / "search"
    code, out, err = ctkd(
        "run", "-m", *(s for s in settings if not s.startswith("training.steps")),
        "target.validation_size=4", "hydra/sweeper=optuna", "training.steps=choice(1,12)",
        "hydra.sweeper.sampler.name=random", "hydra.sweeper.n_trials=3",
        f"hydra.sweep.dir={folder}",
    )  # fmt: skip
    assert code == 0, err
    (best,) = re.findall(r"Trial (\d+) with new seeds", out)
    found = {
        file.parent.name: json.loads(file.read_text())["distilled/validation_mistakes"]
        for file in folder.glob("*/metrics.json")
    }
    assert len(found) == 3
    assert found[best] == min(found.values())


def test_a_teacher_of_texts_does_not_answer_at_two_positions(
    ctkd: Ctkd, settings: list[str], tmp_path: Path
) -> None:
    code, _, err = ctkd("check", *settings, "source.kind=text")
    assert code == 2
    assert "text" in err
    assert "where:   source.kind" in err
    (remedy,) = re.findall(r"try:     (source\.kind=\w+)", err)
    code, _, err = ctkd("check", *settings, remedy)
    assert code == 0, err


def test_its_code_is_part_of_what_is_kept(
    ctkd: Ctkd, settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teachers and what they said, as students, are made anew when the kind's module has changed;
    tokens are no other kind's."""
    import sys

    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    runs = [*settings, "seeds=1", "controls.rivals=[]"]

    def made(name: str) -> set[str]:
        run = tmp_path / name
        code, _, err = ctkd("run", *runs, f"hydra.run.dir={run}")
        assert code == 0, err
        events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
        reused = {event["stage"] for event in events if event["event"] == "reused"}
        return {"teacher", "knowledge", "student"} - reused

    assert made("first") == {"teacher", "knowledge", "student"}
    assert made("same") == set()
    module = Path(str(sys.modules["kind_of_ends"].__file__))
    module.write_text(module.read_text() + "\n# another version\n")
    assert made("changed") == {"teacher", "knowledge", "student"}


def test_its_tokens_are_no_other_kind_s(kind: None, tiny_bert: Path) -> None:
    import numpy as np
    from datasets import Dataset
    from transformers import AutoTokenizer

    from ctkd_cli.settings.component import find
    from ctkd_cli.tasks.kinds.base import Kind

    found = find(Kind, "ends", "kind")  # type: ignore[type-abstract]

    class Shouting(found):  # type: ignore[misc, valid-type]
        """Reads something else of the same text."""

        def columns(self) -> dict[str, str]:
            return {"text": "text"}

    Shouting.__module__ = "kind_of_ends"
    tokenizer, digests = AutoTokenizer.from_pretrained(tiny_bert), np.ones((1, 2), np.uint64)
    ours, theirs = find(Kind, "text", "kind")(kind="text"), Shouting(kind="shouting")  # type: ignore[type-abstract]
    first = ours.encode(Dataset.from_dict({"text": ["goal"]}), tokenizer, digests)
    second = theirs.encode(Dataset.from_dict({"text": ["goal of the match"]}), tokenizer, digests)
    assert len(first.rows[0]["input_ids"]) == 3
    assert len(second.rows[0]["input_ids"]) == 6
