"""Words: lists of them in tables, as tokens, and no word lost."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import FAMILIES

from ctkd_cli.errors import InputError
from ctkd_cli.tasks.kinds._word_inputs import parted
from ctkd_cli.tasks.kinds._word_tokens import STAND_IN, tokenised, windows
from ctkd_cli.tasks.kinds.words import Words

SENTENCE = "The fox jumps over New York , isn't it ? 3.14 U.S. e-mail unbelievable tokenisation"
PLAIN = SENTENCE.split()
# Blanks of many kinds, nothing to see, several bytes, several code points, special tokens, long.
ODD = ["", " ", "\u200b", "\u00a0", "\ufeff", "😀", "👨\u200d👩\u200d👧", "a\u0301", "ﷺ", "\x01",
       "New York", "##", "[SEP]", "</s>", "ﬁ", "中文", "x" * 30, "\u00ad", "½"]  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return FAMILIES[request.param]()


def table(words: object) -> Dataset:
    return Dataset(pa.table({"words": words}))


def test_a_word_has_its_position_at_its_first_token(tokenizer: Any) -> None:
    row = tokenised([PLAIN], tokenizer, limit=512, stride=0)[0]
    ids = tokenizer(" ".join(PLAIN))["input_ids"]  # the text that the model was made for
    assert row["input_ids"].tolist() == ids
    places = np.flatnonzero(row["position"])
    assert row["position"][places].tolist() == [*range(1, len(PLAIN) + 1)]
    # What the tokens before a word say is the words before it, and no more.
    for number, place in enumerate(places):
        before = tokenizer.decode(ids[:place], skip_special_tokens=True)
        assert _letters(before) == _letters("".join(PLAIN[:number]))


def _letters(text: str) -> str:
    return "".join(text.split()).lower().replace("##", "").removeprefix("<s>").removeprefix("[cls]")


def test_long_sentences_are_cut_into_windows_that_overlap(tokenizer: Any) -> None:
    words = PLAIN * 3
    (whole,) = windows(tokenised([words], tokenizer, limit=512, stride=0)[0], 512)
    found = windows(tokenised([words], tokenizer, limit=20, stride=4)[0], 20)
    assert len(found) > 2
    assert all(len(window["input_ids"]) == 20 for window in found[:-1])
    around = tokenizer("")["input_ids"]
    inside = 20 - len(around)
    every = [window["input_ids"].tolist() for window in (whole, *found)]
    full, *parts = [[token for token in ids if token not in around] for ids in every]
    for number, part in enumerate(parts):
        start = number * (inside - 4)
        assert part == full[start : start + inside]


def test_a_word_is_read_where_most_is_around_it() -> None:
    """Ten words of a token each, windows of six between [CLS] and [SEP] that share four: of words
    that two windows hold, the one whose cut is farther."""
    tokenizer = FAMILIES["BERT"]()
    found = windows(tokenised([["a"] * 10], tokenizer, limit=8, stride=4)[0], 8)
    assert [window["position"].tolist() for window in found] == [
        [0, 1, 2, 3, 4, 0, 0, 0],  # 4 is 2 from the right end here, 1 from the left end there
        [0, 0, 0, 5, 6, 0, 0, 0],
        [0, 0, 0, 7, 8, 9, 10, 0],
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([*PLAIN, *ODD]), min_size=1, max_size=30), min_size=1, max_size=3
    ),
    st.integers(8, 40),
    st.integers(0, 50),
)
def test_no_word_is_lost(
    tokenizer: Any, sentences: list[list[str]], limit: int, stride: int
) -> None:
    rows = tokenised(sentences, tokenizer, limit, stride)
    for row, words in zip(rows, sentences, strict=True):
        positions = row["position"][row["position"] > 0]
        assert positions.tolist() == [*range(1, len(words) + 1)]


def test_a_word_without_a_token_is_read_as_a_sign(tokenizer: Any) -> None:
    (row,) = tokenised([["Ann", "", "Oslo"]], tokenizer, limit=64, stride=0)
    (same,) = tokenised([["Ann", STAND_IN, "Oslo"]], tokenizer, limit=64, stride=0)
    assert row["input_ids"].tolist() == same["input_ids"].tolist()


def test_a_batch_says_where_words_are(tokenizer: Any) -> None:
    """By the ids there: padding, on whichever side, and windows move them."""
    kind = Words(max_length=16, stride=4)
    sentences = [["Ann"], PLAIN, PLAIN[::-1]]
    encoded = kind.encode(table(sentences), tokenizer)
    assert encoded.offsets is not None
    assert encoded.numbers is not None
    assert encoded.offsets.tolist() == [0, 1, 1 + len(PLAIN), 1 + 2 * len(PLAIN)]
    assert encoded.numbers.tolist() == [0, *range(len(PLAIN)), *range(len(PLAIN))]
    batch = kind.collate([encoded.rows[row] for row in range(3)], tokenizer)
    assert batch.where is not None
    found = batch.inputs["input_ids"].flatten()[batch.where].tolist()
    expected = []
    for words in sentences:
        (row,) = tokenised([words], tokenizer, 512, 0)
        expected += row["input_ids"][row["position"] > 0].tolist()
    assert found == expected
    assert bool((batch.inputs["attention_mask"].flatten()[batch.where] == 1).all())


def test_tokens_that_are_kept_are_the_same(tokenizer: Any) -> None:
    kind = Words()
    for sentences in ([["Ann"], ["it"]], [["Ann", "goes"], PLAIN]):
        inputs = kind.conform(table(sentences), "here")
        _, digests = kind.identify(inputs)
        kept, fresh = kind.encode(inputs, tokenizer, digests), kind.encode(inputs, tokenizer)
        for one, other in zip(kept.rows, fresh.rows, strict=True):
            assert {name: values.tolist() for name, values in one.items()} == {
                name: values.tolist() for name, values in other.items()
            }
        np.testing.assert_array_equal(kept.numbers, fresh.numbers)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([["a", None, "b"], None, []]), [["a", "", "b"], [], []]),
        (pa.array([[1, 2], [3]]), [["1", "2"], ["3"]]),
        (pa.array([["a"], ["b"]], pa.large_list(pa.large_string())), [["a"], ["b"]]),
        (pa.array([["a"], ["b", "c"], ["d"]]).slice(1), [["b", "c"], ["d"]]),
    ],
)
def test_columns_of_words(column: pa.Array, expected: list[list[str]]) -> None:
    found = Words().conform(table(column), "here")
    assert found["words"][:] == expected
    assert np.diff(Words().offsets(found)).tolist() == [len(words) for words in expected]


@pytest.mark.parametrize("column", [pa.array(["a b"]), pa.array([[["a"]]]), pa.array([None])])
def test_a_column_without_lists_of_words_is_refused(column: pa.Array) -> None:
    with pytest.raises(InputError, match="does not hold lists of words") as caught:
        Words().conform(table(column), "target, train split")
    assert caught.value.problems[0].where == "target, train split, column 'words'"


def test_blanks_within_a_word_do_not_part_it_in_reports() -> None:
    shown = Words().show({"words": ["New York", "is"]})
    pieces = Words().errors({"input": shown, "gold": ["B-LOC", "O"]}, {"alone": ["O", "B-LOC"]})
    assert pieces == {
        "gold": [("New\u00a0York", "LOC"), ("is", "")],
        "alone": [("New\u00a0York", ""), ("is", "LOC")],
    }


def test_a_sentence_is_read_the_same_beside_a_longer_one() -> None:
    """By a model that counts positions from the left, and a tokenizer that pads there."""
    import torch
    from transformers import GPT2Config, GPT2ForTokenClassification

    tokenizer = FAMILIES["GPT-2"]()
    assert tokenizer.padding_side == "left"
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=16, n_layer=1, n_head=2)
    model = GPT2ForTokenClassification(config).eval()
    kind = Words()
    encoded = kind.encode(table([["Ann", "goes"], PLAIN]), tokenizer)
    both, alone = (
        kind.collate([encoded.rows[row] for row in chosen], tokenizer) for chosen in ((0, 1), (0,))
    )
    answers = []
    for batch in (both, alone):
        assert batch.where is not None
        logits = model(**batch.inputs).logits.flatten(0, 1)[batch.where]
        answers.append(logits[:2])
    torch.testing.assert_close(*answers)


def test_an_error_shows_entities_whole_and_only_tags_that_differ() -> None:
    row = {"input": "Ann Lee goes to Oslo", "gold": ["B-PER", "I-PER", "O", None, "I-LOC"]}
    said = {"distilled": ["B-PER", "B-PER", "O", "O", "I-PER"]}
    assert Words().errors(row, said) == {
        "gold": [("Ann Lee", "PER"), ("goes to", ""), ("Oslo", "LOC")],
        "distilled": [("Ann", "PER"), ("Lee", "PER"), ("goes to", ""), ("Oslo", "PER")],
    }
    row = {"input": "Ann goes home", "gold": ["NOUN", "VERB", "ADV"]}
    said = {"distilled": ["NOUN", "NOUN", "ADV"], "control": ["NOUN", "VERB", "ADV"]}
    assert Words().errors(row, said) == {
        "gold": [("Ann", ""), ("goes", "VERB"), ("home", "")],
        "distilled": [("Ann", ""), ("goes", "NOUN"), ("home", "")],
        "control": [("Ann", ""), ("goes", "VERB"), ("home", "")],
    }


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Ann goes to Oslo.", "Ann goes to Oslo ."),
        ('"They (Bob, Ann) won 3.14%," he said…', '" They ( Bob , Ann ) won 3.14 % , " he said …'),
        ("isn't e-mail U.S.A -- #tag @name $5", "isn't e-mail U.S.A - - #tag @name $ 5"),
        ("हिन्दी भाषा।", "हिन्दी भाषा ।"),  # vowels of a word are marks, not letters
        ("cafe\u0301 👨\u200d👩\u200d👧 a\u00a0b", "cafe\u0301 👨\u200d👩\u200d👧 a b"),
        ("# @ ... ", "# @ . . ."),
        ("", ""),
    ],
)
def test_plain_sentences_are_parted_into_words(sentence: str, words: str) -> None:
    assert parted(sentence) == words.split(" ") * bool(words)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,words\n7,Ann goes.\n8,Bob\n"),
        ("a.jsonl", '{"id": 7, "words": ["Ann", "goes", "."]}\n{"id": 8, "words": ["Bob"]}\n'),
        ("a.conllu", "# sent_id = 7\n1\tAnn\t_\t_\t_\t_\t_\t_\t_\t_\n"
         "2\tgoes\t_\t_\t_\t_\t_\t_\t_\t_\n3\t.\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
         "# sent_id = 8\n1\tBob\t_\t_\t_\t_\t_\t_\t_\t_\n"),
        ("a.conll.gz", "# sent_id = 7\nAnn O\ngoes O\n. O\n\n# sent_id = 8\nBob O\n"),
    ],
)  # fmt: skip
def test_new_inputs(tmp_path: Path, name: str, content: str) -> None:
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = Words().read_inputs(tmp_path / name)
    assert found.inputs["words"][:] == [["Ann", "goes", "."], ["Bob"]]
    assert found.ids is not None
    assert [*map(str, found.ids["id"])] == ["7", "8"]


def test_new_inputs_that_are_no_words(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"words": [["Ann"]]}\n')
    with pytest.raises(InputError, match="does not hold lists of words"):
        Words().read_inputs(tmp_path / "a.jsonl")
    (tmp_path / "b.conll").write_text("\n\n")
    assert len(Words().read_inputs(tmp_path / "b.conll").inputs) == 0
