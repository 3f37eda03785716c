"""Tiny random models of many architectures: layers and positions, by their own structure."""
# ruff: noqa: C408

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from conftest import WORDS, save_tiny
from datasets import Dataset
from small_tokenizers import byte_pairs
from transformers import PreTrainedConfig

from ctkd_cli.backbones import _layers, _tokenizer
from ctkd_cli.backbones._pooled import final_linear, logits_and_features
from ctkd_cli.backbones.huggingface import Huggingface
from ctkd_cli.errors import InputError
from ctkd_cli.tasks.kinds.text import Text

WORDS_KNOWN = len(WORDS) + 5
BERT = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=64, pad_token_id=0)  # fmt: skip
GPT = dict(n_embd=16, n_layer=3, n_head=2, n_positions=64, pad_token_id=0)
LLAMA = {**BERT, "num_key_value_heads": 2}
XLM = dict(emb_dim=16, n_layers=3, n_heads=2, max_position_embeddings=64)
BART = dict(d_model=16, encoder_layers=2, decoder_layers=3, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0,
            max_position_embeddings=64, bos_token_id=2, eos_token_id=3,
            decoder_start_token_id=3)  # fmt: skip

# Class of the configuration, its values, and the tokens that it has positions for.
CUT: dict[str, tuple[dict[str, object], int | None]] = {
    "Bert": (BERT, 64),
    "Roberta": (BERT, 63),  # counts from 1, after its padding token 0
    "Electra": ({**BERT, "embedding_size": 8}, 64),
    "Deberta": (BERT, 64),
    "DebertaV2": (BERT, 64),
    "Camembert": (BERT, 63),
    "XLMRoberta": (BERT, 63),
    "MPNet": (BERT, 62),  # counts from 2
    "ConvBert": ({**BERT, "embedding_size": 16}, 64),
    "MegatronBert": (BERT, 64),
    "ModernBert": (BERT, None),  # rotations
    "MobileBert": (
        {**BERT, "embedding_size": 16, "intra_bottleneck_size": 16}, 64,
    ),
    "RemBert": (BERT, 64),
    "Ernie": (BERT, 64),
    "IBert": (BERT, 63),
    "Longformer": ({**BERT, "attention_window": [4, 4, 4]}, 63),
    "FNet": (BERT, 64),
    "RobertaPreLayerNorm": (BERT, 63),
    "DistilBert": (
        dict(dim=16, n_layers=3, n_heads=2, hidden_dim=32, max_position_embeddings=64), 64,
    ),
    "GPT2": (GPT, 64),
    "GPTNeo": (
        dict(hidden_size=16, num_layers=4, num_heads=2, intermediate_size=32, pad_token_id=0,
             max_position_embeddings=64, attention_types=[[["global", "local"], 2]]), 64,
    ),
    "GPTJ": ({**GPT, "rotary_dim": 4}, 64),
    "OpenAIGPT": (GPT, 64),
    "Bloom": (dict(hidden_size=16, n_layer=3, n_head=2, pad_token_id=0), None),
    "OPT": ({**BERT, "ffn_dim": 32, "word_embed_proj_dim": 16}, 64),
    "Llama": (LLAMA, None),
    "Mistral": (LLAMA, None),
    "Qwen2": (LLAMA, None),
    "Gemma2": ({**LLAMA, "head_dim": 8}, None),
    "GPTNeoX": (BERT, None),
    "XLNet": (dict(d_model=16, n_layer=3, n_head=2, d_inner=32), None),
    "XLM": (XLM, 64),
    "Flaubert": (XLM, 64),
}  # fmt: skip
WHOLE: dict[str, tuple[dict[str, object], int]] = {
    "Albert": ({**BERT, "embedding_size": 8}, 3),
    "Bart": (BART, 5),
    "MBart": (BART, 5),
    "T5": (dict(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=3, num_heads=2,
                pad_token_id=0, eos_token_id=3, decoder_start_token_id=0), 5),
    "Funnel": (dict(block_sizes=[1, 2, 1], d_model=16, n_head=2, d_head=8, d_inner=32,
                    num_decoder_layers=1, max_position_embeddings=64), 4),
}  # fmt: skip


def configuration(name: str, values: dict[str, object]) -> PreTrainedConfig:
    kind: type[PreTrainedConfig] = getattr(transformers, f"{name}Config")
    return kind(vocab_size=WORDS_KNOWN, **values)


@pytest.mark.parametrize("name", CUT)
def test_a_model_is_cut_by_its_own_structure(name: str, tmp_path: Path) -> None:
    values, positions = CUT[name]
    config = configuration(name, values)
    folder = save_tiny(tmp_path, config)
    read = json.loads((folder / "config.json").read_text())
    layers = 4 if name == "GPTNeo" else 3
    assert _layers.stacks(read) == {"": layers}
    assert _tokenizer.positions(config) == positions
    backbone = Huggingface(model=str(folder), layers=[0, layers - 1])
    whole = Huggingface(model=str(folder))
    assert backbone.size().flops_per_unit == pytest.approx(whole.size().flops_per_unit * 2 / layers)
    backbone.require_fitting(Text())
    torch.manual_seed(1)
    model = backbone.build(["a", "b"], Text()).eval()
    tokenizer = backbone.preprocessor()
    texts = ["the match goal " * 100, "the film"]
    tokens = tokenizer(texts, truncation=True, max_length=min(80, tokenizer.model_max_length),
                       padding=True, return_tensors="pt")  # fmt: skip
    tokens = {key: tokens[key] for key in ("input_ids", "attention_mask")}
    model.save_pretrained(tmp_path / "cut")
    again = backbone.load_trained(tmp_path / "cut").eval()
    with torch.no_grad():
        first, second = (each(**tokens).logits for each in (model, again))
    torch.testing.assert_close(first, second)
    assert _layers.stacks(json.loads((tmp_path / "cut" / "config.json").read_text())) == {"": 2}


@pytest.mark.parametrize("name", WHOLE)
def test_a_model_that_cannot_be_cut_says_so(name: str, tmp_path: Path) -> None:
    values, layers = WHOLE[name]
    folder = save_tiny(tmp_path, configuration(name, values))
    read = json.loads((folder / "config.json").read_text())
    assert sum(_layers.stacks(read).values()) == layers
    assert Huggingface(model=str(folder)).size().flops_per_unit > 0
    with pytest.raises(InputError, match="layers of this model cannot be chosen"):
        Huggingface(model=str(folder), layers=1).size()  # which `ctkd check` asks
    Huggingface(model=str(folder)).require_fitting(Text())


@pytest.mark.parametrize("named", ["left", "right"])
@pytest.mark.parametrize("name", ["Bert", "GPT2", "OpenAIGPT", "GPTNeo", "Llama", "XLNet", "T5"])
def test_a_text_is_read_the_same_beside_a_longer_one(name: str, named: str, tmp_path: Path) -> None:
    """Whatever side of padding its tokenizer names; and so it is where the student is saved."""
    values, _ = (CUT | WHOLE)[name]
    folder = save_tiny(tmp_path, configuration(name, values))
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": named}))
    backbone, kind = Huggingface(model=str(folder)), Text()
    tokenizer = backbone.preprocessor()
    torch.manual_seed(1)
    model = backbone.build(["a", "b"], kind).eval()
    texts = Dataset.from_dict({"text": ["the film", "a good match of the team " * 4]})
    rows = kind.encode(texts, tokenizer).rows
    beside, alone = (
        logits_and_features(model, kind.collate([rows[row] for row in chosen], tokenizer))
        for chosen in ((0, 1), (0,))
    )
    for one, other in zip(beside[:2], alone[:2], strict=True):
        torch.testing.assert_close(one[:1], other)
    kind.save_preprocessor(tokenizer, tmp_path / "student")
    saved = transformers.AutoTokenizer.from_pretrained(tmp_path / "student")
    assert saved.padding_side == tokenizer.padding_side


def test_features_are_where_logits_are_though_texts_end_as_padding_does() -> None:
    """A GPT-2 whose tokenizer ends each text with the token that pads: the model passes it over."""
    tokenizer = byte_pairs(around=True, prefix_space=False)
    tokenizer.pad_token = "</s>"
    values = {**GPT, "pad_token_id": tokenizer.pad_token_id, "num_labels": 2}
    config = transformers.GPT2Config(vocab_size=len(tokenizer), **values)
    torch.manual_seed(1)
    model = transformers.GPT2ForSequenceClassification(config).eval()
    kind = Text()
    encoded = kind.encode(Dataset.from_dict({"text": ["Ann", "Ann goes to Oslo"]}), tokenizer)
    batch = kind.collate([encoded.rows[row] for row in (0, 1)], tokenizer)
    logits, features, _ = logits_and_features(model, batch)
    torch.testing.assert_close(final_linear(model)(features), logits)


@pytest.mark.parametrize("texts", [[""], ["", "Ann goes to Oslo"]])
def test_an_empty_text_without_a_token_is_answered(texts: list[str]) -> None:
    """GPT-2 has no token around a text; alone or beside others, the answer is one."""
    tokenizer = byte_pairs(around=False, prefix_space=False)
    torch.manual_seed(1)
    values = {**GPT, "pad_token_id": tokenizer.pad_token_id, "num_labels": 2}
    config = transformers.GPT2Config(vocab_size=len(tokenizer), **values)
    model = transformers.GPT2ForSequenceClassification(config).eval()
    kind = Text()
    encoded = kind.encode(Dataset.from_dict({"text": texts}), tokenizer)
    rows = [encoded.rows[row] for row in range(len(texts))]
    logits = [
        logits_and_features(model, kind.collate(each, tokenizer))[0][0] for each in (rows, rows[:1])
    ]
    torch.testing.assert_close(*logits)
    assert logits[0].isfinite().all()
