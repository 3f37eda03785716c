"""What looks like a control token in a text is a text: in a run, in `predict`, in `student/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BartConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from ctkd_cli.backbones.huggingface import Huggingface

Ctkd = Callable[..., tuple[int, str, str]]
SHAPE = dict(vocab_size=300, pad_token_id=0, bos_token_id=2, eos_token_id=1, d_model=16)  # noqa: C408
CONFIGS = {
    "bart": BartConfig(
        **SHAPE, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_position_embeddings=40, decoder_start_token_id=1,
    ),
    "t5": T5Config(**SHAPE, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0),
}  # fmt: skip


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One whose tokenizer knows `</s>`, and no length limit."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>", "</s>", "<s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(["match goal film actor"] * 9, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(tmp_path / "model")  # fmt: skip
    config = CONFIGS[request.param]
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_text_with_control_tokens_and_a_long_one(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, model: Path
) -> None:
    with (tmp_path / "d.csv").open("w") as stream:
        stream.write("text,label\n")
        for row in range(20):
            more = "<s>old</s> <pad> " if row < 8 else "match " * 100
            stream.write(f"match goal {more}{row},a\nfilm actor {more}{row},b\n")
    settings = [
        *(each for each in tiny_run if not each.startswith("student.")),
        "student=huggingface", "target.train=d.csv", f"student.model={model}", "hydra.run.dir=run",
    ]  # fmt: skip
    code, _, err = ctkd("run", *settings)
    assert code == 0, err
    (tmp_path / "new.txt").write_text("match </s> goal </s>\n" + "film " * 200 + "\n")
    code, out, err = ctkd("predict", "run", "new.txt", "--format", "jsonl")
    assert code == 0, err
    assert len([json.loads(line) for line in out.splitlines()]) == 2


def test_control_tokens_are_characters(tiny_bert: Path, tmp_path: Path) -> None:
    ours = Huggingface(model=str(tiny_bert)).preprocessor()
    theirs = AutoTokenizer.from_pretrained(tiny_bert)
    text = "match [PAD] goal [SEP]"
    assert theirs.pad_token_id in theirs(text)["input_ids"]  # what would have happened
    tokens = ours(text)["input_ids"]
    assert ours.pad_token_id not in tokens
    assert tokens.count(ours.sep_token_id) == 1  # the text's end
    ours.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == tokens
