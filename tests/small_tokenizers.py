"""Tokenizers as the large families of models have them, learnt from a few lines."""

from __future__ import annotations

from collections.abc import Callable

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

TEXT = [
    "The quick brown fox jumps over the lazy dog in New York and Rome, isn't it? 3.14 U.S. e-mail",
    "Ann goes to Oslo with Bob's friend; they've seen 20,000 tests of unbelievable tokenisation.",
]


def word_piece() -> PreTrainedTokenizerFast:
    """As BERT's: lower case, [CLS] and [SEP] around, types of tokens."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def byte_pairs(around: bool, prefix_space: bool) -> PreTrainedTokenizerFast:
    """As RoBERTa's with <s> and </s> around, as GPT-2's without."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>"]
    tokenizer.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet),
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = (
        processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=prefix_space)
        if around
        else processors.ByteLevel(trim_offsets=False)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", model_max_length=512,
        padding_side="right" if around else "left",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def pieces() -> PreTrainedTokenizerFast:
    """As T5's: </s> at the end."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        TEXT,
        trainers.UnigramTrainer(
            vocab_size=120,
            special_tokens=["<pad>", "</s>", "<unk>"],
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


FAMILIES: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "BERT": word_piece,
    "RoBERTa": lambda: byte_pairs(around=True, prefix_space=False),
    "RoBERTa, prefix space": lambda: byte_pairs(around=True, prefix_space=True),
    "GPT-2": lambda: byte_pairs(around=False, prefix_space=False),
    "T5": pieces,
}
