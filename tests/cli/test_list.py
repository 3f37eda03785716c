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
