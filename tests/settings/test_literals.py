"""What is text stays text, however it is written: on the command line, in a YAML, in a sweep."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ctkd_cli import experiment
from ctkd_cli.backbones.base import Backbone
from ctkd_cli.data.base import Reader
from ctkd_cli.distillation.bridges.base import Bridge
from ctkd_cli.distillation.losses.base import Loss
from ctkd_cli.distillation.schedules.base import Schedule
from ctkd_cli.errors import InputError
from ctkd_cli.settings import compose, literals
from ctkd_cli.settings.component import available, find
from ctkd_cli.settings.overrides import as_typed, prepare
from ctkd_cli.tasks.kinds.base import Kind
from ctkd_cli.tasks.settings import TaskSettings

Ctkd = Callable[..., tuple[int, str, str]]
ODD = [
    "0", "1", "007", "1e5", "1.0", "1_000", "yes", "No", "true", "null", "nan", "~", "Größe",
    "2024", "-1", "a b", "x:y", "C:\\dir", "don't", "0x10", "12:30", ".5", "a=b", "日本",
]  # fmt: skip


def composed(*overrides: str) -> dict[str, Any]:
    return experiment.decoded(compose.compose(overrides).settings)  # type: ignore[no-any-return,attr-defined]


@pytest.mark.parametrize("word", [word for word in ODD if word != "null"])
@pytest.mark.parametrize("key", ["target.label", "name"])
def test_one_text(key: str, word: str) -> None:
    part, _, last = key.rpartition(".")
    found = composed(f"{key}={word}")
    assert (found[part] if part else found)[last] == word


@pytest.mark.parametrize("word", ODD)
@pytest.mark.parametrize("quote", ["", '"'])
def test_lists_and_mappings(word: str, quote: str) -> None:
    if not quote and set(word) & set("'=:\\"):
        pytest.skip("must be quoted there")
    written = word if not quote else quote + word.replace('"', '\\"') + quote
    for key in ("target.labels", "teacher.head_labels"):
        part, _, last = key.partition(".")
        assert composed(f"{key}=[{written},other]")[part][last] == [word, "other"]
    for key in ("target.labels", "bridge.map"):
        part, _, last = key.partition(".")
        assert composed(f"{key}={{{written}: {written}, other: b}}")[part][last] == {
            word: word,
            "other": "b",
        }


def test_numbers_in_a_manual_map_stay_numbers() -> None:
    found = composed("bridge=manual", "bridge.map={1: {2: 0.7, yes: 0.3}, no: 0}")
    assert found["bridge"]["map"] == {"1": {"2": 0.7, "yes": 0.3}, "no": "0"}


def test_null_is_no_text_where_nothing_may_stand() -> None:
    assert composed("target.text_pair=null", "target.labels=null")["target"]["labels"] is None


def test_in_a_yaml(ctkd: Ctkd, tmp_path: Path) -> None:
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "odd.yaml").write_text(
        "kind: text\nreader: files\ntrain: 2024\ntext: 1.0\nlabel: yes\n"
        "labels: {0: off, 007: 1e5, null: NULL, Größe: ~}\nlimit: 20\nvalidation_size: 0.1\n"
        "text_pair: null\n"
    )
    code, out, err = ctkd("config", "--config-dir", "mine", "target=odd", "--json")
    assert code == 0, err
    found = {key: row["value"] for key, row in json.loads(out).items()}
    assert {key.removeprefix("target."): value for key, value in found.items()
            if key.startswith("target.labels.")} == {
        "labels.0": "off", "labels.007": "1e5", "labels.null": "NULL", "labels.Größe": "~",
    }  # fmt: skip
    assert (found["target.train"], found["target.text"]) == ("2024", "1.0")
    assert (found["target.label"], found["target.text_pair"]) == ("yes", None)
    assert (found["target.limit"], found["target.validation_size"]) == (20, 0.1)


def test_a_list_in_a_yaml(ctkd: Ctkd, tmp_path: Path) -> None:
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "odd.yaml").write_text(
        "kind: text\nreader: files\ntrain: x.csv\nlabels: [yes, no, 01]\n"
    )
    code, out, _ = ctkd("config", "--config-dir", "mine", "target=odd", "--json")
    assert code == 0
    assert json.loads(out)["target.labels"]["value"] == ["yes", "no", "01"]


def test_sweeps() -> None:
    plan = compose.plan(["target.train=prüfung.csv,übung.csv", "target.label=2024,yes"])
    jobs = compose.jobs(plan.overrides)
    found = [composed(*job)["target"] for job in jobs]
    assert [(task["train"], task["label"]) for task in found] == [
        ("prüfung.csv", "2024"), ("prüfung.csv", "yes"),
        ("übung.csv", "2024"), ("übung.csv", "yes"),
    ]  # fmt: skip


def test_a_sweep_in_a_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiment").mkdir()
    asked = {
        "target.train": ["prüfung.csv", "it's.csv"],
        "target.labels": [{"a": "ä", "0": "b"}, ["x", "1"]],
        "training": [{"steps": 3}, {"steps": 4}],
        "bridge.map": [{"1": {"2": 0.5}}],
    }
    text = "# @package _global_\n" + yaml.safe_dump({"sweep": asked}, allow_unicode=True)
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    monkeypatch.setenv("CTKD_CONFIG_DIR", str(tmp_path))
    plan = compose.plan(["experiment=mine", "bridge=manual"])
    found = [composed(*job) for job in compose.jobs(plan.overrides)]
    assert len(found) == 8
    first, last = found[0], found[-1]
    assert (first["target"]["train"], last["target"]["train"]) == ("prüfung.csv", "it's.csv")
    assert (first["target"]["labels"], last["target"]["labels"]) == (
        {"a": "ä", "0": "b"},
        ["x", "1"],
    )
    assert (first["training"]["steps"], last["training"]["steps"]) == (3, 4)
    assert first["bridge"]["map"] == {"1": {"2": 0.5}}


@given(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])))
def test_quoted_texts_come_through_hydra(text: str) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([f"key={literals.quoted(text)}"])
    assert parsed.value() == text


@given(st.text(min_size=1), st.text())
def test_keys_come_back(key: str, value: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    assert literals.decoded({literals.spelt(key): [value]}) == {key: [value]}
    kept = OmegaConf.to_container(OmegaConf.create({literals.spelt(key): 1}))
    assert literals.decoded(kept) == {key: 1}


@pytest.mark.parametrize(
    "override",
    ["target.labels={'0': negative, '1': positive}", "target.label=2024", "target.labels=[0,1]",
     "target.train=übung.csv", "target.labels={sport: ours, film: other}", "target.train=a\\b.csv",
     "target.labels=[Größe,don\\'t]"],
)  # fmt: skip
def test_what_a_run_notes_can_be_typed_again(override: str) -> None:
    (noted,) = as_typed(prepare([override]))
    assert composed(noted)["target"] == composed(override)["target"]


def test_every_key_that_holds_text_is_known() -> None:
    """TEXTS against the fields of all parts that are here."""
    classes: list[type] = [TaskSettings, experiment.TeacherSettings, experiment.Experiment]
    for base in (Backbone, Reader, Bridge, Loss, Schedule, Kind):
        classes += [find(base, name, "x") for name in available(base)]  # type: ignore[type-abstract]
    found = {
        field.alias or name
        for kind in classes
        for name, field in kind.model_fields.items()  # type: ignore[attr-defined]
        if holds_text(field.annotation)
    }
    assert found == literals.TEXTS


def holds_text(annotation: Any) -> bool:
    if get_origin(annotation) in (UnionType, Union, tuple):
        return any(map(holds_text, get_args(annotation)))
    if get_origin(annotation) is dict:
        return holds_text(get_args(annotation)[1]) and int not in get_args(get_args(annotation)[1])
    return annotation is str and get_origin(annotation) is not Literal


def w(file: Path, *labels: str) -> None:
    rows = [f"{word} {n},{label}" for n in range(20) for word, label in zip("abc", labels)]  # noqa: B905
    file.write_text("text,label\n" + "\n".join(rows) + "\n")


def test_the_advice_on_labels_that_look_alike_works(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path
) -> None:
    w(tmp_path / "v.csv", "1", "1.0", "größer")
    code, _, err = ctkd("check", *tiny_run, "target.train=v.csv")
    assert code == 2
    (remedy,) = (line.partition("try:")[2].strip() for line in err.splitlines() if "try:" in line)
    one, both = remedy.removesuffix(" keeps both").split(" makes them one, ")
    for advice, labels in ((one, {"1.0", "größer"}), (both, {"1", "1.0", "größer"})):
        (override,) = shlex.split(advice)
        code, out, err = ctkd("check", *tiny_run, "target.train=v.csv", override, "--json")
        assert code == 0, err
        assert set(json.loads(out)["target"]["counts"]["train"]) == labels


def test_large_whole_numbers_are_two_labels(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path
) -> None:
    w(tmp_path / "big.csv", "9007199254740993", "9007199254740992")
    code, out, err = ctkd("check", *tiny_run, "target.train=big.csv", "--json")
    assert code == 0, err
    assert len(json.loads(out)["target"]["counts"]["train"]) == 2


def test_what_is_not_utf8_is_refused(ctkd: Ctkd) -> None:
    code, _, err = ctkd("config", "target=files", "target.train=caf\udce9.csv")
    assert code == 2
    assert "not UTF-8" in err
    assert "caf\\xe9.csv" in err
    with pytest.raises(InputError):
        prepare(["target.train=caf\udce9.csv"])
