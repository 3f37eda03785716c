"""Every YAML that ships is run, with tiny models and a few steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_topics
from datasets import Dataset, DatasetDict

from ctkd_cli.data._corpus import Corpus
from ctkd_cli.settings import config_files

Ctkd = Callable[..., tuple[int, str, str]]
TINY = ["seeds=1", "training.steps=2", "teacher.training.steps=2", "training.batch_size=16"]
NEEDS = {
    "bridge=manual": ["bridge.map={sport: sport}"],
    "bridge=graph": ["bridge.path=news_topics"],
}
ON_THREE_SHARED_LABELS = {"loss=dkd", "loss=kl_std"}  # refused with two, and tested to be
SWEEPS = {"experiment=label_curve", "experiment=tune"}  # run in tests of their own
FETCHED = {"experiment=words"}  # on a corpus that is no part of the package
ON_A_GPU = {"device=cuda"}  # refused elsewhere, and tested to be


def choices(*groups: str) -> list[str]:
    return [f"{group}={option}" for group in groups for option in config_files.options(group)]


def run(ctkd: Ctkd, *overrides: str) -> None:
    code, _, err = ctkd("run", *overrides)
    assert code == 0, err
    (directory,) = Path("outputs").iterdir()
    assert json.loads((directory / "status.json").read_text())["status"] == "complete"


@pytest.mark.parametrize("choice", choices("loss", "bridge", "schedule", "controls", "training"))
def test_on_text(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, choice: str) -> None:
    needs = NEEDS.get(choice, [])
    if choice in ON_THREE_SHARED_LABELS:
        labels = ["sport", "entertainment", "tech"]
        needs = [f"target.train={write_topics(tmp_path / 'three.csv', labels, 90, seed=2)}"]
    run(ctkd, *tiny_run, *TINY, choice, *needs)


@pytest.mark.parametrize("choice", [c for c in choices("device") if c not in ON_A_GPU])
def test_devices(ctkd: Ctkd, tiny_run: list[str], choice: str) -> None:
    run(ctkd, *[o for o in tiny_run if not o.startswith("device")], *TINY, choice)


def test_a_device_that_is_not_there(ctkd: Ctkd, tiny_run: list[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    without = [o for o in tiny_run if not o.startswith("device")]
    code, _, err = ctkd("run", *without, "device=cuda")
    assert code == 2
    assert "no cuda device" in err
    assert not Path("outputs").exists()


@pytest.mark.parametrize("choice", choices("teacher", "student"))
def test_models(ctkd: Ctkd, tiny_bert: Path, choice: str) -> None:
    """The real weights: they come with the package."""
    task = ["source=bbc_articles", "target=bbc_headlines", "source.limit=20", "target.limit=20"]
    other = {"teacher": "student", "student": "teacher"}[choice.partition("=")[0]]
    if choice.endswith("=convnet"):
        task, other_choice = ["experiment=digits"], f"{other}=convnet"
    else:
        other_choice = f"{other}={'minilm_l2' if other == 'student' else 'minilm_l6'}"
    model = f"{choice.partition('=')[0]}.model={tiny_bert}"
    named = [model] if choice.endswith("=huggingface") else []
    run(ctkd, *task, choice, other_choice, *named, *TINY)


@pytest.mark.parametrize("choice", [c for c in choices("experiment") if c not in SWEEPS])
def test_experiments(ctkd: Ctkd, choice: str, request: pytest.FixtureRequest) -> None:
    if choice in FETCHED:
        request.getfixturevalue("stand_ins")
    run(ctkd, choice, *TINY)


def tagged_sentences(ids: list[str]) -> Dataset:
    """A table with all columns that readers of tagged sentences ask for."""
    from omegaconf import OmegaConf

    tags = {"tags": ["at", "nn", "vb"]}
    for option in ("petrogold_deprel", "dantestocks_upos"):
        settings = OmegaConf.load(config_files.option_file("task", option))
        tags[settings.tag] = list(settings.labels)
    rows = range(len(ids))
    columns: dict[str, list[object]] = {
        "id": [*ids],
        "group": [str(row // 4) for row in rows],
        "genre": [("news", "fiction")[row % 2] for row in rows],
        "words": [["the", f"goal{row}", "of"] for row in rows],
    }
    for name, names in tags.items():
        columns[name] = [[names[(3 * row + place) % len(names)] for place in range(3)]
                         for row in rows]  # fmt: skip
    return Dataset.from_dict(columns)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Data for the tasks whose data is the user's own, or must be fetched."""
    labels = ["sport", "entertainment", "tech"]
    csv = write_topics(tmp_path / "topics.csv", labels, 60, seed=3)
    table = Dataset.from_csv(str(csv), cache_dir=str(tmp_path / "datasets"))
    DatasetDict({"train": table}).save_to_disk(tmp_path / "saved")
    (tmp_path / "hub").mkdir()
    write_topics(tmp_path / "hub" / "train.csv", labels, 60, seed=4)

    def fake_table(self, name: str) -> Dataset:  # type: ignore[no-untyped-def]
        texts = [f"the goal of {name} {row}" for row in range(400)]
        ids = [f"{name}-{row}" for row in range(400)]
        if self.name in ("brown", "dante", "tweet_entities"):
            return tagged_sentences(ids)
        if self.name == "sentences":
            ratings = [(row % 3 - 1) * 2.0 for row in range(400)]
            return Dataset.from_dict({"id": ids, "rating": ratings, "text": texts})
        from omegaconf import OmegaConf

        groups: set[str] = set()
        for option in config_files.options("task"):
            settings = OmegaConf.load(config_files.option_file("task", option))
            if settings.reader == self.name:
                groups |= set(settings.get("labels") or ["acq", "earn"])
        named = [sorted(groups)[row % len(groups)] for row in range(400)]
        return Dataset.from_dict({"id": ids, "category": named, "text": texts})

    monkeypatch.setattr(Corpus, "table", fake_table)
    sentences = (f"goal{n} B-X\nof{n} O\nthe{n} B-Y\nend{n} I-Y" for n in range(60))
    (tmp_path / "words.conll").write_text("\n\n".join(sentences))
    return {
        "conll": [f"target.train={tmp_path / 'words.conll'}"],
        "files": [f"target.train={csv}"],
        "saved": [f"target.folder={tmp_path / 'saved'}"],
        "hub": [f"target.path={tmp_path / 'hub'}"],
    }


@pytest.mark.parametrize("name", config_files.options("task"))
def test_tasks(ctkd: Ctkd, tiny_run: list[str], stand_ins: dict[str, list[str]], name: str) -> None:
    if name.startswith("digits"):
        run(ctkd, "experiment=digits", f"target={name}", *TINY)
        return
    source = [o for o in tiny_run if not o.startswith("target")]
    settings = config_files.option_file("task", name).read_text()
    if "kind: words" in settings:  # of each position, only a teacher of positions can say something
        source = [o for o in source if not o.startswith("source")]
        source += ["source=brown_news_fine", "source.limit=60"]
    more = [*stand_ins.get(name, []), "target.limit=60"]
    run(ctkd, *source, f"target={name}", *more, *TINY)
