"""`ctkd list`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ctkd_cli.settings import config_files

Ctkd = Callable[..., tuple[int, str, str]]
CONFIGS = config_files.packaged_configs()


@pytest.fixture(autouse=True)
def no_folder_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config_files.CONFIG_DIR_VARIABLE, "")  # and --config-dir is forgotten after


def test_every_group_with_the_names_of_its_yamls(ctkd: Ctkd) -> None:
    code, out, err = ctkd("list", "--json")
    assert (code, err) == (0, "")
    groups = json.loads(out)
    assert set(groups) == {
        "source", "target", "teacher", "student", "loss", "bridge", "schedule", "device",
        "training", "controls", "experiment",
    }  # fmt: skip
    folders = {group: "task" if group in ("source", "target") else group for group in groups}
    for group, folder in folders.items():
        assert set(groups[group]) == {file.stem for file in (CONFIGS / folder).iterdir()}


def test_the_table_names_every_option(ctkd: Ctkd) -> None:
    code, out, _ = ctkd("list")
    assert code == 0
    for word in ("mapped_kl", "theta_marginal", "minilm_l3", "bbc_headlines", "smoke"):
        assert word in out


def test_an_options_help_is_the_first_comment_of_its_yaml(ctkd: Ctkd) -> None:
    (hint,) = [
        row for row in json.loads(ctkd("list", "loss", "--json")[1]) if row["option"] == "hint"
    ]
    first = (CONFIGS / "loss" / "hint.yaml").read_text().splitlines()[0]
    assert first == f"# {hint['help']}"
    digits = next(
        row
        for row in json.loads(ctkd("list", "experiment", "--json")[1])
        if row["option"] == "digits"
    )
    assert digits["help"].startswith("Images of 8 x 8")  # not the `@package` line above it


def test_what_a_loss_needs(ctkd: Ctkd) -> None:
    """Figures from the papers' definitions: KL needs common labels, CKA a batch to compare."""
    needs = {row["option"]: row["needs"] for row in json.loads(ctkd("list", "loss", "--json")[1])}
    assert needs["hint"] == ""
    assert needs["kl"] == "2 shared labels"
    assert needs["mapped_kl"] == "a bridge"
    assert needs["cka"].startswith("batches of ")


def test_options_of_the_users_are_marked_with_their_file(ctkd: Ctkd, tmp_path: Path) -> None:
    (tmp_path / "my" / "loss").mkdir(parents=True)
    (tmp_path / "my" / "loss" / "mine.yaml").write_text("# my own loss\nname: kl\n")
    rows = json.loads(ctkd("list", "loss", "--config-dir", "my", "--json")[1])
    marked = [row for row in rows if "file" in row]
    assert [(row["option"], row["help"]) for row in marked] == [("mine", "my own loss")]
    assert marked[0]["file"].endswith("my/loss/mine.yaml")
    assert "my own loss" in ctkd("list", "loss", "--config-dir", "my")[1]


def test_a_config_dir_that_is_none(ctkd: Ctkd) -> None:
    code, _, err = ctkd("list", "--config-dir", "nowhere")
    assert code == 2
    assert "--config-dir" in err
    assert "nowhere" in err


def test_a_strange_yaml_of_the_users_spoils_no_list(ctkd: Ctkd, tmp_path: Path) -> None:
    folder = tmp_path / "my" / "loss"
    folder.mkdir(parents=True)
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (folder / "gone.yaml").symlink_to("nowhere.yaml")
    (folder / "evil.yaml").write_text("# \x1b[2J[red]evil[/red]\nname: kl\n")
    code, out, err = ctkd("list", "loss", "--config-dir", "my")
    assert code == 0, err
    assert "bytes" in out
    assert "\x1b[2J" not in out
    assert "[red]evil[/red]" in out


def settings(ctkd: Ctkd, *option: str) -> dict[str, dict[str, object]]:
    code, out, err = ctkd("list", *option, "--json")
    assert (code, err) == (0, "")
    return {row["key"]: row for row in json.loads(out)}


def test_the_settings_of_an_option(ctkd: Ctkd) -> None:
    """As docs and messages name them; the option's own values are the defaults."""
    found = settings(ctkd, "target", "files")
    assert {
        "target.train", "target.test", "target.validation", "target.unlabelled", "target.delimiter",
        "target.text", "target.label", "target.validation_size", "target.labels_per_class",
    } <= found.keys()  # fmt: skip
    assert found["target.train"]["default"] == "required"
    assert found["target.test_size"] == {
        "key": "target.test_size", "type": "number > 0, < 1", "default": 0.2,
        "help": "share of the data held out when it has no test split",
    }  # fmt: skip
    assert found["target.labels_per_class"]["type"] == "whole number >= 1 or null"
    assert not {"target.kind", "target.reader"} & found.keys()
    mapped = settings(ctkd, "loss", "mapped_kl")
    assert (mapped["loss.temperature"]["default"], mapped["loss.temperature"]["type"]) == (
        2.0, "number > 0",
    )  # fmt: skip
    teacher = settings(ctkd, "teacher", "minilm_l6")
    assert teacher["teacher.training.epochs"]["default"] == 4
    assert settings(ctkd, "training", "few_labels")["training.steps"]["default"] == "auto"


def test_a_setting_is_shown_with_a_line_of_help(ctkd: Ctkd) -> None:
    code, out, _ = ctkd("list", "target", "files")
    assert code == 0
    words = " ".join(out.split())
    assert "target.delimiter null of CSV and TSV" in words
    assert "ctkd list target " in ctkd("list", "target")[1]


@pytest.mark.parametrize("group", [group for group in config_files.GROUPS if group != "experiment"])
def test_what_is_shown_can_be_typed(ctkd: Ctkd, group: str) -> None:
    """Every option has a list; the first one's defaults are settings as they are."""
    for option in config_files.options(group):
        settings(ctkd, group, option)
    first = {"teacher": "minilm_l6", "student": "minilm_l3"}.get(
        group, config_files.options(group)[0]
    )
    typed = [
        f"{key}={json.dumps(row['default'])}"
        for key, row in settings(ctkd, group, first).items()
        if isinstance(row["default"], int | float)
    ]
    code, _, err = ctkd("config", f"{group}={first}", *typed)
    assert code == 0, err


@pytest.mark.parametrize(
    "asked, says",
    [
        (["loss", "mapped"], "did you mean mapped_kl?"),
        (["experiment", "smoke"], "ctkd config experiment=smoke"),
    ],
)
def test_no_settings_to_show(ctkd: Ctkd, asked: list[str], says: str) -> None:
    code, out, err = ctkd("list", *asked)
    assert (code, out) == (2, "")
    assert says in err
    if remedy := [line for line in err.splitlines() if "try:" in line]:
        assert ctkd(*remedy[0].split()[2:])[0] == 0
