"""`ctkd config`, and where values come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ctkd_cli.experiment import load
from ctkd_cli.settings import compose, config_files

Ctkd = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_folder_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config_files.CONFIG_DIR_VARIABLE, "")


@pytest.fixture
def origin(ctkd: Ctkd) -> Callable[..., dict[str, tuple[object, str]]]:
    def ask(*overrides: str) -> dict[str, tuple[object, str]]:
        code, out, err = ctkd("config", *overrides, "--json")
        assert code == 0, err
        return {key: (row["value"], row["from"]) for key, row in json.loads(out).items()}

    return ask


def test_the_last_word_is_named(origin) -> None:  # type: ignore[no-untyped-def]
    values = origin("experiment=smoke", "lambda=0.5", "loss=hint", "target.max_length=24")
    assert values["lambda"] == (0.5, "command line")
    assert values["target.max_length"] == (24, "command line")
    assert values["source.max_length"] == (32, "experiment/smoke.yaml")
    assert values["training.steps"] == (4, "experiment/smoke.yaml")
    assert values["training.learning_rate"] == (1e-4, "training/few_labels.yaml")
    assert values["loss.name"] == ("hint", "loss/hint.yaml")
    assert values["source.kind"] == ("text", "task/bbc_articles.yaml")
    assert values["seed"] == (1, "config.yaml")
    assert values["training.weight_decay"] == (0.01, "default")
    assert values["name"] == ("smoke", "experiment/smoke.yaml")


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("+target.limit=9", "target.limit", 9),
        ("++target.limit=9", "target.limit", 9),
        ("target.labels=[sport,tech]", "target.labels", ["sport", "tech"]),
        ("student.layers=2", "student.layers", 2),
        ("target={limit: 9}", "target.limit", 9),
        ("~target.labels_per_class", "target.labels_per_class", None),
    ],
)
def test_every_form_of_override_counts_as_the_command_line(  # type: ignore[no-untyped-def]
    origin, override: str, key: str, value: object
) -> None:
    assert origin(override)[key] == (value, "command line")


def test_a_mapping_for_a_group_claims_only_what_it_names(origin) -> None:  # type: ignore[no-untyped-def]
    values = origin("training={steps: 7}")
    assert values["training.steps"] == (7, "command line")
    assert values["training.batch_size"] == (32, "training/few_labels.yaml")


def test_a_yaml_of_the_users_is_told_from_ours(origin, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "my" / "loss").mkdir(parents=True)
    (tmp_path / "my" / "loss" / "kl.yaml").write_text("name: kl\ntemperature: 7\n")
    value, where = origin("loss=kl", "--config-dir", "my")["loss.temperature"]
    assert value == 7
    assert Path(where) == (tmp_path / "my" / "loss" / "kl.yaml").resolve()


@pytest.mark.parametrize("overrides", [[], ["training=epochs"], ["experiment=digits", "seed=3"]])
def test_what_is_printed_is_yaml_of_the_settings(ctkd: Ctkd, overrides: list[str]) -> None:
    """The origins are comments; what is left loads as the same experiment."""
    code, out, _ = ctkd("config", *overrides)
    assert code == 0
    experiment = load(compose.compose(overrides).settings)
    assert yaml.safe_load(out) == experiment.model_dump(mode="json", by_alias=True)
    assert "\nlambda: 1.0" in out  # the user's word, not Python's


def test_origins_stand_in_a_column(ctkd: Ctkd) -> None:
    lines = ctkd("config")[1].splitlines()
    columns = {line.index("# ") for line in lines if "# " in line and len(line) < 80}
    assert len(columns) == 1


def test_whether_steps_or_epochs_win_is_said(ctkd: Ctkd) -> None:
    """The student has both, its teacher only epochs."""
    lines = ctkd("config")[1].splitlines()
    student, teacher = (
        next(line for line in lines[lines.index(part) :] if "epochs:" in line)
        for part in ("training:", "  training:")
    )
    assert student.startswith("  epochs: 3.0")
    assert student.endswith("not used: steps is set, and wins")
    assert "not used" not in teacher
    rows = json.loads(
        ctkd("config", "training.steps=null", "teacher.training.steps=5", "--json")[1]
    )
    assert "remark" not in rows["training.epochs"]
    assert "steps" in rows["teacher.training.epochs"]["remark"]
