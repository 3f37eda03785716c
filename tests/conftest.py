"""What all tests share: an offline, small machine, and models cut to almost nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before torch is imported: two workers with two threads each would fight for two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["COLUMNS"] = "100"

import pytest

WORDS = [
    "the",
    "a",
    "of",
    "in",
    "to",
    "and",
    "is",
    "was",
    "for",
    "on",
    "match",
    "goal",
    "team",
    "player",
    "striker",
    "coach",
    "film",
    "actor",
    "music",
    "band",
    "song",
    "album",
    "chart",
    "singer",
    "phone",
    "net",
    "software",
    "user",
    "game",
    "good",
    "bad",
    "great",
    "poor",
    "how",
    "what",
    "where",
]


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from, or left in, the caches of the user who runs the tests."""
    root = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTKD_CACHE", str(root / "ctkd"))
        patch.setenv("HF_HOME", str(root / "huggingface"))
        yield


@pytest.fixture
def ctkd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `ctkd ARGUMENTS` in an empty folder: (exit code, stdout, stderr)."""
    from ctkd_cli.__main__ import main
    from ctkd_cli.settings.config_files import CONFIG_DIR_VARIABLE

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CONFIG_DIR_VARIABLE, "")  # what --config-dir sets ends with the test

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ctkd", *arguments])
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with 3 layers of width 16 and random weights, as save_pretrained writes it."""
    from transformers import BertConfig

    return save_tiny(
        tmp_path_factory.mktemp("bert"),
        BertConfig(
            vocab_size=len(WORDS) + 5, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64,
        ),
    )  # fmt: skip


def save_tiny(folder: Path, config: object) -> Path:
    """A random classifier of a configuration, with a tokenizer of WORDS."""
    import torch
    from transformers import AutoModelForSequenceClassification, BertTokenizerFast

    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    tokenizer = BertTokenizerFast(str(vocabulary), model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(987)  # not a seed that a run would use
    config.num_labels = 3  # type: ignore[attr-defined]
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


TOPICS = {
    "sport": "match goal team player striker coach",
    "entertainment": "film actor music band song album",
    "tech": "phone net software user",
}


def write_topics(path: Path, labels: list[str], n: int, seed: int) -> Path:
    """A CSV of short texts whose words tell their topic."""
    import csv
    import random

    generator = random.Random(seed)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for row in range(n):
            label = labels[row % len(labels)]
            words = generator.choices([*TOPICS[label].split(), "the", "a", "of", "and"], k=6)
            writer.writerow([f"{' '.join(words)} {seed} {row}", label])
    return path


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> list[str]:
    """Overrides of a run on small files with a small model: seconds."""
    folder = tmp_path_factory.mktemp("topics")
    source = write_topics(folder / "source.csv", ["sport", "entertainment", "tech"], 90, seed=1)
    target = write_topics(folder / "target.csv", ["sport", "entertainment"], 80, seed=2)
    return [
        "source=files", f"source.train={source}", "target=files", f"target.train={target}",
        "target.labels_per_class=4", f"teacher.model={tiny_bert}", f"student.model={tiny_bert}",
        "student.layers=[0,2]", "teacher.training.steps=12", "teacher.training.learning_rate=0.01",
        "training.steps=6", "training.learning_rate=0.01", "device=cpu", "seeds=1",
        "teacher.adaptation=none",
        "student.head_start=random",  # else a head knows these topics at once, and arms are alike
    ]  # fmt: skip


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Skips where no Chromium is installed; CI installs one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", *QUIET],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[Path], Any]]:
    """Opens a file; nothing may go wrong in it, and it may ask the network for nothing."""
    wrong: list[str] = []
    pages = []

    def opened(file: Path) -> Any:
        page = browser.new_page()
        pages.append(page)
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "dialog",
            lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()),
        )
        page.on(
            "request",
            lambda asked: asked.url.startswith(("file:", "data:")) or wrong.append(asked.url),
        )
        page.goto(file.as_uri())
        return page

    yield opened
    for page in pages:
        page.close()
    assert wrong == []
