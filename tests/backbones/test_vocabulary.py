"""student.vocabulary=target: a student that knows the words of its task and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_tokenizers import FAMILIES
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from ctkd_cli.backbones import _tokenizer, _vocabulary
from ctkd_cli.cache import eviction

Ctkd = Callable[..., tuple[int, str, str]]
READ = ["The quick fox goes to Rome", "they've seen tests"]
OTHERS = ["unbelievable tokenisation of a lazy dog", "soon oxen see one", "Oslo, 3.14!", ""]


def saved(folder: Path, family: str) -> Path:
    """A tokenizer of a family beside a small model with as many rows."""
    tokenizer = FAMILIES[family]()
    torch.manual_seed(3)
    model = BertModel(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=8, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def can_be_spelt(tokenizer: Any, text: str) -> bool:
    """Whether each character is a piece, at the start of a word and within one; that of these small
    tokenizers is not so, of BERT's it is. Byte pairs have every byte."""
    pieces, words = tokenizer.get_vocab(), text.lower() if "##s" in tokenizer.get_vocab() else text
    if "▁" in pieces:
        return all(character in pieces for character in words.replace(" ", ""))
    if "##s" not in pieces:
        return True
    return all(
        word[0] in pieces and all(f"##{character}" in pieces for character in word[1:])
        for word in re.findall(r"\w+|[^\w\s]", words)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_known_texts_are_read_as_before_and_others_in_known_pieces(
    tmp_path: Path, family: str
) -> None:
    whole = _tokenizer.load(saved(tmp_path / "whole", family))
    used = np.unique(np.concatenate([whole(text)["input_ids"] for text in READ]))
    (tmp_path / "cut").mkdir()
    kept = _vocabulary.cut_tokenizer(whole, used, tmp_path / "cut")
    model = AutoModel.from_pretrained(tmp_path / "whole").eval()
    read = whole(READ, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**read).last_hidden_state
    _vocabulary.cut_embedding(model, kept)
    model.save_pretrained(tmp_path / "cut")
    some = AutoTokenizer.from_pretrained(tmp_path / "cut", split_special_tokens=True)
    assert len(some) == len(kept) < len(whole)
    for text in READ:
        assert some.convert_ids_to_tokens(some(text)["input_ids"]) == whole.convert_ids_to_tokens(
            whole(text)["input_ids"]
        )
        assert [int(kept[new]) for new in some(text)["input_ids"]] == whole(text)["input_ids"]
    for text in filter(lambda text: can_be_spelt(whole, text), OTHERS):
        assert some.unk_token_id is None or some.unk_token_id not in some(text)["input_ids"]
        assert some.decode(some(text)["input_ids"], skip_special_tokens=True) == whole.decode(
            whole(text)["input_ids"], skip_special_tokens=True
        )
    again = AutoModel.from_pretrained(tmp_path / "cut").eval()
    assert again.config.vocab_size == again.get_input_embeddings().num_embeddings == len(kept)
    assert again.config.pad_token_id == some.pad_token_id
    with torch.no_grad():
        found = again(**some(READ, padding=True, return_tensors="pt")).last_hidden_state
    torch.testing.assert_close(found, expected)


def test_a_run_hands_over_a_small_student_that_answers_as_it_did(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for run, vocabulary in ((whole, "all"), (cut, "target")):
        code, out, err = ctkd(
            "run", *tiny_run, f"student.vocabulary={vocabulary}", f"hydra.run.dir={run}"
        )
        assert code == 0, err
    assert "the student knows" in err
    sizes = [(run / "student/model.safetensors").stat().st_size for run in (whole, cut)]
    assert sizes[1] < sizes[0]
    assert "vocabulary:" in (cut / "report.txt").read_text()
    assert "vocabulary</dt>" in (cut / "report.html").read_text()
    table = pq.read_table(cut / "predictions.parquet").to_pylist()
    told = [row for row in table if row["arm"] == "distilled"]
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(row["input"] for row in told))
    code, out, err = ctkd("predict", str(cut), str(texts), "--format", "jsonl")
    assert code == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    assert [each["predicted"] for each in answers] == [row["predicted"] for row in told]


def test_a_teacher_keeps_its_vocabulary(ctkd: Ctkd, tiny_run: list[str]) -> None:
    code, _, err = ctkd("run", *tiny_run, "teacher.vocabulary=target")
    assert code == 2
    assert "student.vocabulary=target" in err


def test_a_seed_decides_nothing_of_a_vocabulary(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    for seeds in ("seeds=1", "seeds=2", "seed=2"):
        code, _, err = ctkd("run", *tiny_run, "student.vocabulary=target", seeds)
        assert code == 0, err
    assert [entry.sort for entry in eviction.entries()].count("students") == 1
