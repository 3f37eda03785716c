"""`ctkd run`, as a user would: one command, and what it leaves."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from sklearn.metrics import classification_report, f1_score
from test_resume import saw

from ctkd_cli.cli import _single
from ctkd_cli.experiment import Experiment

Ctkd = Callable[..., tuple[int, str, str]]
CONTRACT = {
    *("config.yaml", "overrides.yaml", "environment.json", "run.log", "events.jsonl"),
    *("status.json", "predictions.parquet", "metrics.json", "label_map.csv", "student"),
    *("report.txt", "report.html", "confusion.png", "curves.png", "label_map.png"),
    "reliability.png",
}


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run in a process of its own."""
    folder = tmp_path_factory.mktemp("finished")
    done = subprocess.run(
        [sys.executable, "-m", "ctkd_cli", "run", *tiny_run],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "outputs").iterdir()
    return run, done


def read(run: Path, arm: str) -> dict[str, list[object]]:
    table = pq.read_table(run / "predictions.parquet")
    return dict(table.filter(np.array(table["arm"]) == arm).to_pydict())


def latest(folder: Path = Path("outputs")) -> Path:
    return max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_the_run_directory_is_the_contract(finished) -> None:  # type: ignore[no-untyped-def]
    run, _ = finished
    assert {path.name for path in run.iterdir()} == CONTRACT
    assert json.loads((run / "status.json").read_text())["status"] == "complete"


def test_talk_goes_to_stderr_and_the_verdict_to_stdout(finished) -> None:  # type: ignore[no-untyped-def]
    run, done = finished
    assert re.search(r"^teacher: (done|reused) in [\d.]+ s$", done.stderr, flags=re.MULTILINE)
    assert "macro-F1" in done.stdout
    assert f"{run.parent.name}/{run.name}/report.html" in done.stdout
    assert "seeds=5" in done.stdout  # what to try next
    assert "\x1b[" not in done.stderr  # plain lines when there is no terminal


def test_report_txt_is_scikit_learns(finished) -> None:  # type: ignore[no-untyped-def]
    run, _ = finished
    report = (run / "report.txt").read_text()
    for arm in ("distilled", "alone"):
        rows = read(run, arm)
        expected = classification_report(
            rows["gold"], rows["predicted"], labels=["entertainment", "sport"], digits=3,
            zero_division=0,
        )  # fmt: skip
        assert expected.rstrip() in report


def test_the_report_calls_tasks_by_their_names(finished, ctkd: Ctkd) -> None:  # type: ignore[no-untyped-def]
    """A file by its own, a task that ships as it was chosen."""
    run, _ = finished
    assert "source (3 labels) → target (2 labels)" in (run / "report.html").read_text()
    code, _, err = ctkd("run", "experiment=smoke", "controls.rivals=[]")
    assert code == 0, err
    assert "bbc_articles (3 labels) → bbc_headlines (2" in (latest() / "report.html").read_text()
    assert "source task:  bbc_articles, labels" in (latest() / "report.txt").read_text()


def test_metrics_are_scikit_learns(finished) -> None:  # type: ignore[no-untyped-def]
    run, _ = finished
    metrics = json.loads((run / "metrics.json").read_text())
    f1 = {}
    no_dearer = ["alone", "cut_body"]  # the teacher, and so `untuned`, has a layer more
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    told = next(event for event in events if event["event"] == "efficiency")
    tfidf = next(e for e in events if e["event"] == "cost" and e["arm"] == "tfidf")
    if tfidf["throughput"] >= told["student"]["throughput"] / 2:  # by the clock: this one is tiny
        no_dearer.append("tfidf")
    for arm in ("distilled", "teacher", "tfidf", *no_dearer):
        rows = read(run, arm)
        f1[arm] = f1_score(rows["gold"], rows["predicted"], average="macro")
        assert metrics[f"{arm}/macro_f1"] == pytest.approx(f1[arm])
    assert metrics["gain/macro_f1"] == pytest.approx(
        f1["distilled"] - max(map(f1.__getitem__, no_dearer))
    )


def test_the_saved_student_gives_the_same_predictions(finished) -> None:  # type: ignore[no-untyped-def]
    """By transformers alone, as an engineer would load it."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run, _ = finished
    model = AutoModelForSequenceClassification.from_pretrained(
        run / "student", trust_remote_code=True
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "student", trust_remote_code=True)
    rows = read(run, "distilled")
    with torch.no_grad():
        logits = model(**tokenizer(rows["input"], padding=True, return_tensors="pt")).logits
    probabilities = logits.softmax(dim=-1).numpy()
    assert model.config.id2label == {0: "entertainment", 1: "sport"}
    for index, label in model.config.id2label.items():
        np.testing.assert_allclose(probabilities[:, index], rows[f"p({label})"], atol=1e-5)
    assert [model.config.id2label[i] for i in probabilities.argmax(axis=1)] == rows["predicted"]
    assert list((run / "student").glob("*.safetensors"))


def test_provenance(finished, tiny_run: list[str]) -> None:  # type: ignore[no-untyped-def]
    run, _ = finished
    assert yaml.safe_load((run / "overrides.yaml").read_text()) == tiny_run
    environment = json.loads((run / "environment.json").read_text())
    import torch

    assert environment["packages"]["torch"] == torch.__version__
    assert set(environment["backbones"]) == {"teacher", "student"}
    from ctkd_cli.experiment import load

    assert load(yaml.safe_load((run / "config.yaml").read_text())).lambda_ == 1.0


def test_predict_labels_new_texts(finished, ctkd: Ctkd, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A file, in CSV and in JSON lines; the same texts get the same answers as in the run."""
    run, _ = finished
    rows = read(run, "distilled")
    lines = [f"{name},{text}" for name, text in zip(rows["id"], rows["input"], strict=True)]
    (tmp_path / "new.csv").write_text("\n".join(["id,text", *lines]))
    code, out, _ = ctkd("predict", str(run), "new.csv")
    assert code == 0
    header, *lines = out.splitlines()
    assert header == "id,input,predicted,p(entertainment),p(sport)"
    assert [line.split(",")[2] for line in lines] == rows["predicted"]
    code, out, _ = ctkd("predict", str(run), "new.csv", "--format", "jsonl")
    first = json.loads(out.splitlines()[0])
    assert first["id"] == rows["id"][0]
    assert first["probabilities"]["sport"] == pytest.approx(rows["p(sport)"][0], abs=1e-5)


def test_predict_answers_piece_by_piece(finished, ctkd: Ctkd, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """No more than a piece is tokens at one time, and answers keep their order."""
    from ctkd_cli.deploy import predict
    from ctkd_cli.tasks.kinds.text import Text

    run, _ = finished
    texts = [f"{'goal film team ' * (n % 4)}match {n}" for n in range(7)]
    (tmp_path / "new.txt").write_text("\n".join(texts))
    whole = ctkd("predict", str(run), "new.txt")
    encoded, encode = [], Text.encode

    def counted(self, inputs, preprocessor, **more):  # type: ignore[no-untyped-def]
        encoded.append(len(inputs))
        return encode(self, inputs, preprocessor, **more)

    monkeypatch.setattr(Text, "encode", counted)
    monkeypatch.setattr(predict, "PIECE", 3)
    code, out, _ = ctkd("predict", str(run), "new.txt")
    assert (code, encoded) == (0, [3, 3, 1])
    header, *lines = list(csv.reader(out.splitlines()))
    expected_header, *expected = list(csv.reader(whole[1].splitlines()))
    assert header == expected_header
    assert [line[:3] for line in lines] == [line[:3] for line in expected]
    assert [line[1] for line in lines] == texts
    for line, other in zip(lines, expected, strict=True):
        assert [float(p) for p in line[3:]] == pytest.approx(
            [float(p) for p in other[3:]], abs=1e-5
        )
    # A table without ids counts on from piece to piece.
    (tmp_path / "new.csv").write_text("text\n" + "\n".join(texts))
    lines = ctkd("predict", str(run), "new.csv")[1].splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == list("1234567")


def test_predict_reads_lines_and_stdin(finished, ctkd: Ctkd, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import io

    run, _ = finished
    (tmp_path / "new.txt").write_text("=goal team\n\nfilm actor\n")
    code, out, _ = ctkd("predict", str(run), "new.txt")
    assert code == 0
    assert [line.split(",")[:2] for line in out.splitlines()[1:]] == [
        ["1", "'=goal team"],  # no spreadsheet runs it
        ["3", "film actor"],  # the number of its line
    ]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"goal\n")))
    assert len(ctkd("predict", str(run))[1].splitlines()) == 2


def test_predict_without_a_run(ctkd: Ctkd, tmp_path: Path) -> None:
    code, _, err = ctkd("predict", str(tmp_path), "new.csv")
    assert code == 2
    assert "no run with a student" in err


def test_report_is_rebuilt_from_the_directory(finished, ctkd: Ctkd, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import shutil

    run, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    made = ("metrics.json", "report.txt", "report.html", "confusion.png")
    before = {name: (copy / name).read_bytes() for name in made}
    for name in made:
        (copy / name).unlink()
    assert ctkd("report", str(copy))[0] == 0
    assert {name: (copy / name).read_bytes() for name in made} == before


def test_the_same_settings_give_the_same_bytes_and_reuse_the_teacher(
    ctkd: Ctkd, tiny_run: list[str]
) -> None:
    tables = []
    for _ in range(2):
        assert ctkd("run", *tiny_run, "reuse=false")[0] == 0
        tables.append(pq.read_table(latest() / "predictions.parquet"))
    assert tables[0].equals(tables[1])
    assert len(list(Path("outputs").iterdir())) == 2
    events = [json.loads(line) for line in (latest() / "events.jsonl").read_text().splitlines()]
    assert {e["stage"] for e in events if e["event"] == "reused"} == {
        "teacher", "knowledge", "evaluation"
    }  # fmt: skip


def test_without_lambda_the_distilled_student_is_the_student_alone(
    ctkd: Ctkd, tiny_run: list[str]
) -> None:
    assert ctkd("run", *tiny_run, "lambda=0")[0] == 0
    assert read(latest(), "distilled")["p(sport)"] == read(latest(), "alone")["p(sport)"]


def test_seeds_choose_the_labelled_examples_and_share_the_teacher(
    ctkd: Ctkd, tiny_run: list[str]
) -> None:
    code, out, _ = ctkd("run", "-m", *tiny_run, "seed=11,12,13")
    assert code == 0
    sweep = latest()
    lines = (sweep / "sweep.csv").read_text().splitlines()
    assert len(lines) == 4
    assert "3" in out
    trained = [
        job.name
        for job in sorted(sweep.glob("*/events.jsonl"))
        if '"stage": "teacher", "event": "step"' in job.read_text()
    ]
    assert len(trained) <= 1
    metrics = [json.loads((sweep / str(j) / "metrics.json").read_text()) for j in range(3)]
    gains = [job["gain/macro_f1"] for job in metrics]
    half = 4.302653 * np.std(gains, ddof=1) / np.sqrt(3)  # Student's t, 2 degrees of freedom
    # No gain of macro-F1 lies beyond 1.
    low, high = np.clip([np.mean(gains) - half, np.mean(gains) + half], -1, 1)
    assert f"{np.mean(gains):+.3f} ({low:+.3f} to {high:+.3f})" in out


@pytest.mark.parametrize("loss", ["kl", "hint", "cka", "theta_marginal"])
def test_losses_and_bridges_run(ctkd: Ctkd, tiny_run: list[str], loss: str) -> None:
    assert ctkd("run", *tiny_run, f"loss={loss}", "bridge=names", "training.batch_size=20")[0] == 0
    metrics = json.loads((latest() / "metrics.json").read_text())
    assert 0 <= metrics["distilled/macro_f1"] <= 1
    assert (latest() / "label_map.csv").read_text().splitlines()[-1].endswith("false")  # tech


def test_a_decoder_teaches_an_encoder(
    ctkd: Ctkd, tiny_run: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """GPT-2 pools at the last token; student and teacher have widths of their own."""
    from conftest import WORDS, save_tiny
    from transformers import GPT2Config

    config = GPT2Config(
        vocab_size=len(WORDS) + 5, n_embd=24, n_layer=2, n_head=2, n_positions=64, pad_token_id=0
    )
    folder = save_tiny(tmp_path_factory.mktemp("decoder"), config)
    code, _, err = ctkd("run", *tiny_run, f"teacher.model={folder}", "loss=hint")
    assert code == 0, err


def test_truncation_is_counted_and_told(ctkd: Ctkd, tiny_run: list[str]) -> None:
    code, _, err = ctkd("run", *tiny_run, "target.max_length=4", "source.max_length=5")
    assert code == 0
    assert "source: 66 of train lost content" in err
    assert "target: 64 of train lost content" in err
    assert "target: 64 of train, 16 of test lost text" in (latest() / "report.txt").read_text()


def test_digits_run_through_the_same_loop(ctkd: Ctkd, tmp_path: Path) -> None:
    steps = ["training.steps=20", "teacher.training.steps=20"]
    code, _, err = ctkd("run", "experiment=digits", *steps)
    assert code == 0, err
    np.save(tmp_path / "new.npy", np.zeros((3, 8, 8)))
    code, out, _ = ctkd("predict", str(latest()), "new.npy")
    assert code == 0
    assert len(out.split("p(9)")[1].strip().split(",")) > 3


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (
            ["loss=kl", "target.labels={sport: a, entertainment: b}"],
            "needs 2 labels",
        ),
        (["loss=cka", "training.batch_size=8"], "compares examples within a batch"),
        (["bridge=manual", "bridge.map={sprot: sport}"], "did you mean sport"),
        (["bridge=identity", "target.labels={sport: a, entertainment: b}"], "bridge=leep"),
        (["target.labels=[sport, musik]"], "no such label"),
        (["target.text=txt"], "did you mean text"),
        (["student.layers=[0,7]"], "the model has 3 layers"),
        (["teacher.fine_tuned=true"], "labels do not match"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(
    ctkd: Ctkd,
    tiny_run: list[str],
    overrides: list[str],
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does a cache that holds the teacher hide that one would have been trained."""
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "empty"))
    code, out, err = ctkd("run", *tiny_run, *overrides)
    assert code == 2, err
    assert what in err
    assert "Traceback" not in err
    assert out == ""
    assert not Path("outputs").exists()
    assert not (tmp_path / "empty" / "teachers").exists()


def test_nothing_is_written_over(ctkd: Ctkd, tiny_run: list[str]) -> None:
    assert ctkd("run", *tiny_run, "hydra.run.dir=here")[0] == 0
    before = {p: p.read_bytes() for p in Path("here").rglob("*") if p.is_file()}
    code, _, err = ctkd("run", *tiny_run, "hydra.run.dir=here")
    assert code == 2
    assert "nothing is written over" in err
    assert {p: p.read_bytes() for p in Path("here").rglob("*") if p.is_file()} == before


def test_a_refused_run_leaves_nothing(ctkd: Ctkd) -> None:
    assert ctkd("run", "lambda=-1")[0] == 2
    assert list(Path().iterdir()) == []


def test_a_single_run_is_composed_once_in_the_folder_and_environment_that_hydra_gives_it(
    ctkd: Ctkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name, settings and Hydra's keys are the user's; training is left out."""
    asked = [
        *("name=mine", "seed=7", "lambda=0.5", "training={steps: 3}"),
        *("hydra.run.dir='there/${name}-${seed}'", "+hydra.job.env_set.CTKD_TEST=here"),
        "hydra.job.chdir=true",
    ]
    compositions = mock.Mock(wraps=ConfigLoaderImpl.load_configuration)
    monkeypatch.setattr(
        ConfigLoaderImpl, "load_configuration", lambda *given, **more: compositions(*given, **more)
    )
    ran = []

    def stands_in(experiment: Experiment, directory: Path, typed: list[str]) -> None:
        ran.append((directory, Path.cwd(), os.environ["CTKD_TEST"], typed, experiment.seed))
        (directory / "status.json").write_text("{}")

    monkeypatch.setattr(_single, "carry_out", stands_in)
    assert ctkd("run", *asked)[0] == 0
    there = tmp_path / "there" / "mine-7"
    assert ran == [(there, there, "here", asked[:4], 7)]
    assert compositions.call_count == 1
    assert "CTKD_TEST" not in os.environ
    assert Path.cwd() == tmp_path
    code, _, err = ctkd("run", *asked)
    assert code == 2
    assert "nothing is written over" in err


def test_two_runs_in_one_second_get_two_directories(tmp_path: Path) -> None:
    from ctkd_cli.cli._directories import claim

    claimed = {claim(tmp_path, "run") for _ in range(5)}
    assert len(claimed) == 5
    assert all(path.is_dir() for path in claimed)


def test_a_failing_job_leaves_the_others_running(ctkd: Ctkd, tiny_run: list[str]) -> None:
    """A learning rate that blows the weights up fails while the run goes on."""
    code, out, err = ctkd("run", "-m", *tiny_run, "training.learning_rate=0.01,1e30")
    assert code == 3, err
    statuses = [json.loads((latest() / j / "status.json").read_text()) for j in ("0", "1")]
    assert [status["status"] for status in statuses] == ["complete", "failed"]
    assert "step" in statuses[1]["reason"]
    assert "failed" in out
    assert len((latest() / "sweep.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_who_asks_a_run_to_stop_can_go_on_from_its_checkpoint(
    tmp_path: Path, tiny_run: list[str], asked: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ctkd_cli", "run", *tiny_run, "training.steps=2000"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 120
            while not saw(tmp_path, '"event": "step"', '"arm": "alone"')():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.kill(process.pid, asked)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (run,) = tmp_path.glob("outputs/*")
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "interrupted"
    assert any(note.startswith("a checkpoint is kept, after step") for note in status["notes"])
    assert f"ctkd resume {run}" in out + err
    (checkpoint,) = (Path(os.environ["CTKD_CACHE"]) / "checkpoints").glob("*/MANIFEST.json")
    shutil.rmtree(checkpoint.parent)


def test_an_interrupt_that_is_swallowed_is_heard_at_the_next_step() -> None:
    from ctkd_cli.runtime import interruption

    with interruption.remembered():
        interruption.check()
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    with interruption.remembered():
        interruption.check()  # the next run begins afresh


def test_a_patient_one_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal and torchrun may both pass a Ctrl-C on: two at once are one."""
    from ctkd_cli.runtime import interruption

    with interruption.remembered(), interruption.patient():
        assert not interruption.requested()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        interruption.check()
        assert interruption.requested()
        monkeypatch.setattr(interruption, "SAME", 0.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_of_others_stay_theirs() -> None:
    from ctkd_cli.runtime import interruption

    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with interruption.remembered():
            os.kill(os.getpid(), signal.SIGTERM)
            interruption.check()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_a_fine_tuned_head_with_other_labels_is_refused_before_anything_is_written(
    ctkd: Ctkd, tiny_run: list[str]
) -> None:
    code, _, err = ctkd("run", *tiny_run, "teacher.fine_tuned=true")
    assert code == 2
    assert "labels do not match" in err
    assert not Path("outputs").exists()


@pytest.mark.parametrize("content", ["source: [", "- a list", "\xff"])
def test_a_damaged_run_is_told(ctkd: Ctkd, tmp_path: Path, content: str) -> None:
    (tmp_path / "run" / "student").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_bytes(content.encode("latin-1"))
    code, _, err = ctkd("predict", str(tmp_path / "run"))
    assert code == 2
    assert "config.yaml is damaged" in err


def test_without_a_single_word_the_embedded_default_runs(ctkd: Ctkd, tmp_path: Path) -> None:
    """`ctkd run`, with small budgets from a folder of the user's own, which wins over ours."""
    from ctkd_cli.settings.config_files import option_file

    for group, option, more in [
        ("task", "bbc_articles", "limit: 30\n"),
        ("training", "few_labels", ""),
        ("teacher", "minilm_l6", "layers: 1\n"),
    ]:
        text = option_file(group, option).read_text()
        short = re.sub(r"(epochs|steps): \w+", "steps: 2", text)
        file = tmp_path / "mine" / group / f"{option}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(short + more)
    code, out, err = ctkd("run", "--config-dir", "mine")
    assert code == 0, err
    assert "macro-F1" in out
    assert yaml.safe_load((latest() / "overrides.yaml").read_text()) == []


@pytest.mark.slow
def test_the_embedded_default_as_it_is(ctkd: Ctkd) -> None:
    """The main job. 0.9 is far above the student alone with this seed, about 0.86."""
    code, out, err = ctkd("run")
    assert code == 0, err
    metrics = json.loads((latest() / "metrics.json").read_text())
    assert metrics["distilled/macro_f1"] > 0.9
    assert metrics["distilled/macro_f1"] > metrics["alone/macro_f1"]
    assert "istillation helped" in out
