"""Entities from end to end, as a user meets them: two files, two tokenizers, one command."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from seqeval.metrics import classification_report, f1_score
from seqeval.metrics.sequence_labeling import get_entities
from small_tokenizers import FAMILIES

from ctkd_cli.__main__ import main
from ctkd_cli.data.conll import Conll

Ctkd = Callable[..., tuple[int, str, str]]
NAMES = {"city": "Oslo Rome York", "river": "Tiber Po", "person": "Ann Bob Blackburn"}
TYPES = {"source": {"city": "city", "river": "river", "person": "person"},
         "target": {"city": "place", "river": "place", "person": "person"}}  # fmt: skip


def write(file: Path, types: dict[str, str], n: int, seed: int) -> Path:
    """Sentences whose entities follow from their words; BIOES, in documents of three."""
    generator = random.Random(seed)
    lines: list[str] = []
    for number in range(n):
        lines += ["-DOCSTART- O\n"] if number % 3 == 0 else []
        for _ in range(generator.randint(2, 5)):
            kind = generator.choice([*NAMES, "", ""])
            words = (NAMES.get(kind) or "goes to the fox over tests").split()
            drawn = generator.sample(words, 2 if kind == "person" else 1)
            prefixes = ["B-", "E-"] if len(drawn) == 2 else ["S-"]
            for word, prefix in zip(drawn, prefixes, strict=True):
                lines.append(f"{word} {prefix + types[kind] if kind else 'O'}")
        lines.append(f"{seed}{number} O\n")  # no sentence is another's
    file.write_text("\n".join(lines))
    return file


@pytest.fixture(scope="module")
def taggers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A teacher and a student with tokenizers of their own and windows of 64 tokens."""
    import torch
    from transformers import AutoModelForTokenClassification, BertConfig, RobertaConfig

    shape = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 66,
    }  # fmt: skip
    folders = []
    for family, cls in (("RoBERTa", RobertaConfig), ("BERT", BertConfig)):
        tokenizer, folder = FAMILIES[family](), tmp_path_factory.mktemp(family)
        tokenizer.model_max_length = 64
        tokenizer.save_pretrained(folder)
        config = cls(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape)
        torch.manual_seed(987)
        AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
        folders.append(folder)
    return folders[0], folders[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, taggers: tuple[Path, Path]) -> Path:
    folder = tmp_path_factory.mktemp("words")
    source = write(folder / "source.conll", TYPES["source"], 90, seed=1)
    target = write(folder / "target.conll", TYPES["target"], 90, seed=2)
    teacher, student = taggers
    to_types = "{city: place, river: place, person: person, O: O}"
    arguments = [
        "source=conll", f"source.train={source}", "target=conll", f"target.train={target}",
        "target.labels_per_class=6", f"teacher.model={teacher}", f"student.model={student}",
        "teacher=huggingface", "student=huggingface", "teacher.training.steps=60",
        "teacher.training.learning_rate=0.02", "training.steps=40", "training.learning_rate=0.02",
        "loss=mapped_kl", "bridge=manual", f"bridge.map={to_types}", "device=cpu",
        "source.max_length=16", "target.max_length=16", "target.stride=4", "seeds=1",
        f"hydra.run.dir={folder / 'run'}",
    ]  # fmt: skip
    assert main(["run", *arguments]) == 0
    return folder / "run"


def answers(run: Path, arm: str) -> tuple[list[list[str]], list[list[str]]]:
    rows = pq.read_table(run / "predictions.parquet").to_pylist()
    mine = [row for row in rows if row["arm"] == arm]
    return [row["gold"] for row in mine], [row["predicted"] for row in mine]


@pytest.mark.filterwarnings("ignore")  # of types that nobody predicts
def test_figures_are_seqevals(run: Path) -> None:
    figures = json.loads((run / "metrics.json").read_text())
    report = (run / "report.txt").read_text()
    for arm in ("distilled", "alone", "teacher"):
        gold, predicted = answers(run, arm)
        assert figures[f"{arm}/entity_f1"] == pytest.approx(f1_score(gold, predicted))
        assert classification_report(gold, predicted, digits=3, zero_division=0) in report
    assert figures["teacher/entity_f1"] > 0.6
    assert figures["distilled/entity_f1"] > 0.2
    assert {tag for tags in answers(run, "distilled")[0] for tag in tags} == {
        "B-place", "B-person", "I-person", "O",
    }  # fmt: skip


def test_labels_and_the_sentences_that_hold_them_are_counted(run: Path) -> None:
    """The target's two types have six names each at least, in whole sentences."""
    spent = re.search(
        r"labels spent: (\d+) to train \+ 0 to validate, in (\d+) \+ 0 examples; (\d+) unlabelled",
        (run / "report.txt").read_text(),
    )
    assert spent is not None
    labels, sentences, unlabelled = map(int, spent.groups())
    assert 4 <= sentences <= 12  # six names of two types, at most one drawn at a time
    assert labels >= 3 * sentences  # none has fewer words than two and its own
    assert sentences + unlabelled == 72  # of 90 in documents of three, a fifth is test
    assert f"in {sentences} + 0 examples" in (run / "report.html").read_text()


def test_types_are_mapped_and_prefixes_follow(run: Path) -> None:
    assert (run / "label_map.csv").read_text().split() == [
        "source,B-person,B-place,I-person,O,mapped",
        "B-city,0.000000,1.000000,0.000000,0.000000,true",
        "B-person,1.000000,0.000000,0.000000,0.000000,true",
        "B-river,0.000000,1.000000,0.000000,0.000000,true",
        "I-person,0.000000,0.000000,1.000000,0.000000,true",
        "O,0.000000,0.000000,0.000000,1.000000,true",
    ]


def test_the_page_shows_entities_of_each_arm(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "<small>place</small>" in page
    assert "<small>person</small>" in page


SENTENCES = [["Ann", "Blackburn", "goes", "to", "Oslo"], ["Rome", "tests", "Bob"],
             ["over", "the", "Tiber"] * 30]  # fmt: skip


def predicted(ctkd: Ctkd, run: Path, file: Path) -> list[dict[str, object]]:
    code, out, err = ctkd("predict", str(run), str(file), "--format", "jsonl")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_new_sentences_in_any_form_have_the_same_answers(
    ctkd: Ctkd, run: Path, tmp_path: Path
) -> None:
    files = {
        "a.txt": "".join(f"{' '.join(words)}\n" for words in SENTENCES),
        "a.conll": "\n".join("".join(f"{word}\n" for word in words) for words in SENTENCES),
        "b.conll": "\n".join("".join(f"{w} NN O\n" for w in words) for words in SENTENCES),
        "a.jsonl": "".join(json.dumps({"words": words}) + "\n" for words in SENTENCES),
    }
    found = {}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        found[name] = predicted(ctkd, run, tmp_path / name)
    for name in files:
        assert found[name] == found["a.txt"], name
    for row, words in zip(found["a.txt"], SENTENCES, strict=True):
        assert row["words"] == words
        assert len(row["tags"]) == len(row["probabilities"]) == len(words)  # type: ignore[arg-type]
        spans = [(s["type"], s["start"], s["end"] - 1) for s in row["spans"]]  # type: ignore[attr-defined]
        assert spans == get_entities(row["tags"])


def test_answers_in_columns_are_read_again(ctkd: Ctkd, run: Path, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text(
        "".join(json.dumps({"id": f"s{n}", "words": w}) + "\n" for n, w in enumerate(SENTENCES))
    )
    expected = predicted(ctkd, run, tmp_path / "new.jsonl")
    code, out, _ = ctkd("predict", str(run), "new.jsonl")  # columns unless asked otherwise
    assert code == 0
    (tmp_path / "labelled.conll").write_text(out)
    table = Conll(train=str(tmp_path / "labelled.conll"), tag_column=1).read(
        {"words": "words"}, "tags"
    )["train"]
    assert table["id"][:] == ["s0", "s1", "s2"]
    assert table["words"][:] == SENTENCES
    assert table["tags"][:] == [row["tags"] for row in expected]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("words", [["Bob", "goes", "to", "Oslo"], ["York"] * 20])
def test_the_students_card_answers_alike(
    ctkd: Ctkd, run: Path, tmp_path: Path, words: list[str]
) -> None:
    """One window, and several."""
    (tmp_path / "new.jsonl").write_text(json.dumps({"words": words}))
    (row,) = predicted(ctkd, run, tmp_path / "new.jsonl")
    card = (run / "student" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    code = code.replace("path/to/student", str(run / "student")).replace("...", " ".join(words))
    names: dict[str, Any] = {}
    exec(code, names)
    said = [(g["entity_group"], g["word"]) for g in names["label"](" ".join(words))]
    assert "pipeline_tag: token-classification" in card
    assert said == [(s["type"], s["text"].lower()) for s in row["spans"]]  # type: ignore[attr-defined]


def test_what_cannot_be_printed_so(ctkd: Ctkd, run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ann\n")
    code, _, err = ctkd("predict", str(run), "a.txt", "--format", "csv")
    assert code == 2
    assert "conll, jsonl" in err
