"""Settings: what is accepted, and how all that is wrong is told at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from ctkd_cli.data.base import Reader
from ctkd_cli.errors import InputError
from ctkd_cli.experiment import Experiment, load, of_overrides
from ctkd_cli.settings import compose, config_files
from ctkd_cli.settings.component import available, find
from ctkd_cli.tasks.kinds.base import Kind
from ctkd_cli.tasks.settings import TaskSettings


def settings(*overrides: str) -> Experiment:
    return of_overrides(overrides)


def problems(*overrides: str) -> dict[str, tuple[str, str]]:
    """where -> (got, nearest)"""
    with pytest.raises(InputError) as caught:
        settings(*overrides)
    return {p.where: (p.got, p.nearest) for p in caught.value.problems}


def test_the_default_is_the_briefs_example() -> None:
    experiment = settings()
    assert experiment.source.labels == ("sport", "entertainment", "tech")
    assert experiment.target.labels == ("sport", "entertainment")
    assert experiment.target.labels_per_class == 4
    assert (experiment.lambda_, experiment.seed) == (1.0, 1)


def test_settings_are_frozen_and_typed() -> None:
    experiment = settings("lambda=0.5", "loss=mapped_kl", "loss.temperature=3")
    assert experiment.lambda_ == 0.5
    assert experiment.loss.temperature == 3.0
    with pytest.raises(ValidationError):
        experiment.seed = 2


@pytest.mark.parametrize(
    ("override", "where", "got", "nearest"),
    [
        ("lambda=-1", "lambda", "-1", ""),
        ("lambda=nan", "lambda", "nan", ""),
        ("lambda=inf", "lambda", "inf", ""),
        ("lamda=1", "lamda", "", "lambda"),
        ("sede=1", "sede", "", "seed"),
        ("source=nope", "source", "nope", ""),
        ("loss=kll", "loss", "kll", "kl"),
        ("loss.temprature=2", "loss.temprature", "", "temperature"),
        ("loss.temperature=0", "loss.temperature", "0", ""),
        ("loss.name=mapped_lk", "loss.name", "'mapped_lk'", "mapped_kl"),
        ("teacher.modle=x", "teacher.modle", "", "model"),
        ("teacher.training.epochs=0", "teacher.training.epochs", "0", ""),
        ("training.decay=liner", "training.decay", "'liner'", ""),
        ("target.labels_per_class=0", "target.labels_per_class", "0", ""),
        ("target.validation_size=x", "target.validation_size", "'x'", ""),
        ("target.kind=txt", "target.kind", "'txt'", "text"),
        ("seed=1.5", "seed", "1.5", ""),
        ("device.accelerator=gpu", "device.accelerator", "'gpu'", ""),
        ("name=../../etc", "name", "'../../etc'", ""),
        ("schedule=warmup schedule.share=0", "schedule.share", "0", ""),
        ("student=convnet", "student.backbone", "convnet", ""),
    ],
)
def test_one_problem(override: str, where: str, got: str, nearest: str) -> None:
    assert problems(*override.split(" ")) == {where: (got, nearest)}


def test_all_problems_at_once() -> None:
    found = problems(
        "lambda=-1", "lamda=1", "seed=x", "target.validation_size=two", "teacher.modl=3"
    )
    assert set(found) == {"lambda", "lamda", "seed", "target.validation_size", "teacher.modl"}


def test_an_unknown_option_hides_nothing_else() -> None:
    found = problems("source=nope", "loss=nope", "loss.temperature=2", "lambda=-1", "seed")
    assert set(found) == {"source", "loss", "lambda", "command line"}


def test_an_override_that_is_no_override() -> None:
    assert set(problems("lambda")) == {"command line"}


def test_values_may_hold_any_character() -> None:
    experiment = settings(
        "target=files",
        "target.train=/tmp/my file (1).csv",
        "target.text=Überschrift",
        "target.label=it's",
    )
    assert experiment.target.train == "/tmp/my file (1).csv"
    assert (experiment.target.text, experiment.target.label) == ("Überschrift", "it's")


def test_saved_settings_load_again() -> None:
    experiment = settings("loss=hint", "experiment=digits", "lambda=0.3")
    again = load(experiment.model_dump(mode="json", by_alias=True))
    assert again.model_dump() == experiment.model_dump()


@pytest.mark.parametrize("kind", available(Kind))
@pytest.mark.parametrize("reader", available(Reader))
def test_a_kind_and_a_reader_share_no_key(kind: str, reader: str) -> None:
    """They stand in one flat set of keys, so one would hide the other."""
    parts = (TaskSettings, find(Kind, kind, "kind"), find(Reader, reader, "reader"))
    own = [set(part.model_fields) - {"kind", "reader"} for part in parts]
    assert sum(map(len, own)) == len(set.union(*own))


@pytest.mark.parametrize("group", ["loss", "bridge", "schedule"])
def test_every_component_has_a_yaml(group: str) -> None:
    fields = Experiment.model_fields[group].annotation
    assert set(available(fields)) == set(config_files.options(group))


def test_a_users_folder_wins_and_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "loss").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("# my task\nkind: images\nreader: digits\n")
    (tmp_path / "loss" / "hint.yaml").write_text("# mine\nname: kl\ntemperature: 7\n")
    monkeypatch.setenv(config_files.CONFIG_DIR_VARIABLE, str(tmp_path))
    assert "mine" in config_files.options("target")
    experiment = settings("experiment=digits", "target=mine", "loss=hint")
    assert experiment.target.labels is None
    assert experiment.loss.temperature == 7


@pytest.mark.parametrize(
    "content",
    [
        "name: kl\n\ttemperature: 2\n",
        "name: kl\nname: hint\n",
        "name: [kl\n",
        "name: ${oc.env:HOME}\n",
        "_target_: os.system\nname: kl\n",
        "- a\n- b\n",
    ],
)
def test_broken_and_hostile_yaml_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text(content)
    monkeypatch.setenv(config_files.CONFIG_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(InputError) as caught:
        settings("loss=mine")
    assert str(Path.home()) not in str(caught.value)


@pytest.mark.parametrize(
    "override", ["name=${oc.env:HOME}", "name=${oc.decode:x}", "seed=${hydra:job.num}"]
)
def test_resolvers_are_refused(override: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(override)
    assert str(Path.home()) not in str(caught.value)


def test_jobs_of_a_sweep() -> None:
    jobs = compose.jobs(["lambda=0,1", "seed=1,2", "name=x"])
    assert [set(job) for job in jobs] == [
        {f"lambda={a}", f"seed={b}", "name=x"} for a in (0, 1) for b in (1, 2)
    ]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["list", "loss"], ["config"], ["run", "--help"], ["run", "lamda=1"],
     ["run", "source=nope"], ["run", "loss=center_kl", "bridge=ot", "lamda=1"]],
)  # fmt: skip
def test_nothing_heavy_is_imported_for_what_needs_none(arguments: list[str]) -> None:
    heavy = {"torch", "transformers", "pyarrow", "datasets", "scipy", "sklearn", "matplotlib"}
    code = (
        "import sys; from ctkd_cli.__main__ import main; main(sys.argv[1:]);"
        f"sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
