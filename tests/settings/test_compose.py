"""From YAML files and overrides to plain settings: search path, sweeps, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings import compose, config_files
from ctkd_cli.settings import overrides as overrides_of

SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTKD_TEST_SECRET", SECRET)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of YAMLs, on the search path."""
    for group in ("task", "loss", "experiment"):
        (tmp_path / group).mkdir()
    monkeypatch.setenv(config_files.CONFIG_DIR_VARIABLE, str(tmp_path))
    return tmp_path


def refused(*overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        compose.compose(overrides)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def test_choices_and_overrides() -> None:
    composed = compose.compose(["loss=hint", "seed=3", "training={steps: 7}"])
    assert composed.choices["loss"] == "hint"
    assert composed.settings["loss"] == {"name": "hint"}
    assert composed.settings["seed"] == 3
    assert composed.settings["training"]["steps"] == 7
    assert composed.settings["training"]["batch_size"] == 32  # merged, not replaced


def test_a_task_serves_as_source_and_as_target() -> None:
    composed = compose.compose(["source=digits_low", "target=digits_low"])
    assert composed.settings["source"] == composed.settings["target"]
    assert config_files.options("source") == config_files.options("target")


def test_an_experiment_overrides_the_groups_and_the_command_line_overrides_it() -> None:
    settings = compose.compose(["experiment=digits", "training.steps=9"]).settings
    assert settings["teacher"]["backbone"] == "convnet"
    assert settings["training"]["learning_rate"] == 3e-3
    assert settings["training"]["steps"] == 9


def test_a_setting_may_point_at_another() -> None:
    assert compose.compose(["seed=${training.steps}", "training.steps=12"]).settings["seed"] == 12


def test_composing_leaves_no_trace_for_the_next_one() -> None:
    before = compose.compose([]).settings
    compose.compose(["loss=hint", "seed=3"])
    assert compose.compose([]).settings == before


def test_the_parts_of_a_composition_in_order() -> None:
    names = [name for name, _, _ in compose.parts(["loss=hint", "experiment=smoke"])]
    assert names.index("config.yaml") < names.index("experiment/smoke.yaml")
    assert "loss/hint.yaml" in names
    assert "task/bbc_articles.yaml" in names
    packages = {name: package for name, package, _ in compose.parts([])}
    assert packages["loss/probe_kl.yaml"] == "loss"


def test_the_users_yaml_wins(folder: Path) -> None:
    (folder / "task" / "bbc_articles.yaml").write_text("kind: text\nreader: bbc_news\n")
    assert compose.compose([]).settings["source"] == {"kind": "text", "reader": "bbc_news"}
    assert (
        config_files.option_file("source", "bbc_articles") == folder / "task" / "bbc_articles.yaml"
    )


def test_a_task_in_the_folder_source_is_no_target(folder: Path) -> None:
    (folder / "source").mkdir()
    (folder / "source" / "mine.yaml").write_text("kind: text\nreader: bbc_news\n")
    assert "mine" in config_files.options("source")
    assert "mine" not in config_files.options("target")


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"name: kl\n\ttemperature: 2\n", 2, "\\t"),
        (b"name: kl\ntemperature: 1\nname: hint\n", 3, "duplicate key name"),
        (b"# fine\nname: [kl\n", None, ""),
        (b"name: \xff\xfe\n", None, "utf-8"),
        (b"- a\n- b\n", None, ""),
    ],
)
def test_a_yaml_that_cannot_be_read_is_named_with_its_line(
    folder: Path, content: bytes, line: int | None, says: str
) -> None:
    (folder / "loss" / "mine.yaml").write_bytes(content)
    (problem,) = refused("loss=mine")
    assert str(folder / "loss" / "mine.yaml") in problem.where
    if line is not None:
        assert problem.where.endswith(f", line {line}")
    assert says in problem.got


RESOLVER_CALLS = [
    "${oc.env:CTKD_TEST_SECRET}",
    "a ${oc.env:CTKD_TEST_SECRET} b",
    "${oc.env:CTKD_TEST_SECRET,x}",
    "${ oc.env : CTKD_TEST_SECRET }",
    "${oc.${lambda}:CTKD_TEST_SECRET}",
    "${oc.decode:${oc.env:CTKD_TEST_SECRET}}",
    "${oc.dict.values:loss}",
    "${hydra:runtime.cwd}",
    "${now:%Y}",
]


@pytest.mark.parametrize("call", RESOLVER_CALLS)
def test_an_override_calls_no_resolver(call: str) -> None:
    problems = refused(f"name='{call}'")
    assert problems[0].where == "command line"


@pytest.mark.parametrize("call", RESOLVER_CALLS)
@pytest.mark.parametrize(
    "content",
    [
        "name: '{}'\n",
        "name: kl\nlayers: [1, {{deep: '{}'}}]\n",
        "'{}': kl\n",
    ],
)
def test_a_yaml_calls_no_resolver(folder: Path, content: str, call: str) -> None:
    (folder / "loss" / "mine.yaml").write_text(content.format(call))
    assert str(folder / "loss" / "mine.yaml") in refused("loss=mine")[0].where


def test_a_defaults_list_calls_no_resolver(folder: Path) -> None:
    """Hydra would say: no such option, and show the secret as its name."""
    (folder / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /loss: ${oc.env:CTKD_TEST_SECRET}\n"
    )
    refused("experiment=mine")


def test_hydras_directories_may_use_its_own_resolvers_only() -> None:
    compose.compose(["hydra.run.dir='there/${now:%Y}'"])
    refused("hydra.run.dir='${oc.env:CTKD_TEST_SECRET}'")


@pytest.mark.parametrize(
    "override",
    [
        "+target._target_=os.system",
        "target={_target_: os.system}",
        "+hydra.callbacks.mine._target_=os.mkdir",
        "+hydra.callbacks.mine={_target_: os.mkdir, path: made}",
    ],
)
def test_an_override_names_no_code(override: str) -> None:
    assert any("code" in problem.what for problem in refused(override))


@pytest.mark.parametrize(
    "content",
    [
        "_target_: os.mkdir\nname: kl\n",
        "# @package _global_\nhydra: {callbacks: {mine: {_target_: os.mkdir, path: made}}}\n",
        "# @package _global_\nhydra: {launcher: {_target_: os.mkdir}}\n",
    ],
)
def test_a_yaml_names_no_code(folder: Path, content: str) -> None:
    (folder / "experiment" / "mine.yaml").write_text(content)
    (problem,) = refused("experiment=mine")
    assert problem.got == "_target_"
    assert not Path("made").exists()


@pytest.mark.parametrize("group", ["source", "loss", "experiment"])
def test_a_group_cannot_be_null(group: str) -> None:
    (problem,) = refused(f"{group}=null")
    assert problem.where == group
    assert problem.allowed == ", ".join(config_files.options(group))


def test_all_unknown_options_at_once() -> None:
    problems = refused("loss=kll", "bridge=lep", "student=minilm_l4")
    assert [(problem.where, problem.nearest) for problem in problems] == [
        ("loss", "kl"), ("bridge", "leep"), ("student", "minilm_l3"),
    ]  # fmt: skip


@pytest.mark.parametrize("override", ["", "=3", "lambda", "training.steps"])
def test_what_is_no_override(override: str) -> None:
    refused(override)


def test_a_sweep_is_refused_where_one_job_is_meant() -> None:
    (problem,) = refused("seed=1,2")
    assert problem.where == "seed"
    assert problem.remedy.startswith("ctkd run -m seed=1,2; ")
    assert "\"seed='1,2'\"" in problem.remedy
    assert "++" not in str(problem)
    refused("loss=glob(*)")
    told = refused("seed=1,2", "lambda=interval(0,1)", "loss=hnit")
    assert [problem.where for problem in told] == ["seed", "lambda", "loss"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("smoke", "experiment=smoke"), ("hnit", "loss=hint"), ("losss", "loss=..."), ("qqqqq", "")],
)
def test_a_word_that_is_no_setting(word: str, meant: str) -> None:
    (problem,) = refused(word)
    assert problem.got == word
    assert problem.nearest == meant
    assert "KEY=VALUE" in problem.allowed


@pytest.mark.parametrize(
    ("sweep", "values"),
    [
        ("seed=range(1,4)", ["seed=1", "seed=2", "seed=3"]),
        ("seed=choice(5,7)", ["seed=5", "seed=7"]),
        ("target.labels=[a,b],[c]", ["target.labels=[a,b]", "target.labels=[c]"]),
        ("experiment=glob(s*)", ["experiment=smoke"]),
    ],
)  # fmt: skip
def test_jobs_of_hydras_sweeps(sweep: str, values: list[str]) -> None:
    assert compose.jobs([sweep, "name=x"]) == [[value, "name=x"] for value in values]


def test_a_sweep_over_seeds_has_a_job_for_each() -> None:
    """A run takes three seeds by itself; jobs of seed=1,2 would share most of theirs."""
    assert compose.plan(["seed=1,2", "lambda=1"]).overrides[-1] == "seeds=1"
    assert not compose.plan(["seed=1,2"]).adds  # several values without -m stay a mistake
    for asked in (["seed=1,2", "seeds=4"], ["seed=7"], ["lambda=1,2"]):
        assert compose.plan(asked).overrides == tuple(asked)


def test_what_the_basic_sweeper_cannot_do_is_said() -> None:
    with pytest.raises(InputError, match="swept"):
        compose.jobs(["lambda=interval(0,1)"])


def test_a_mapping_is_merged_with_a_section_and_replaces_a_value() -> None:
    overrides = ["target.labels={sport: ours, entertainment: other}", "training={steps: 7}"]
    settings = compose.compose(overrides).settings
    assert settings["target"]["labels"] == {"sport": "ours", "entertainment": "other"}
    assert settings["training"]["steps"] == 7
    assert settings["training"]["batch_size"] == 32
    given = [*overrides, "target.limit=null"]
    assert overrides_of.as_typed(overrides_of.prepare(given)) == given


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("target.text=Überschrift", "target.text=Überschrift"),
        ("target.train=my file (1).csv", "target.train=my file (1).csv"),
        ("target.label=it's", "target.label=it's"),
        ("name='1'", "name='1'"),  # without its quotes it would be a number
    ],
)
def test_overrides_are_kept_as_they_were_typed(typed: str, shown: str) -> None:
    (prepared,) = overrides_of.prepare([typed])
    assert overrides_of.as_typed([prepared]) == [shown]
    assert overrides_of.prepare([shown]) == [prepared]
