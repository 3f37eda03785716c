"""Tag schemes and spans, beside seqeval and by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from ctkd_cli.tasks.tags import are_spans, as_iob2, of_types, spans

TAGS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")


def flat(sentences: list[list[str]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    names = sorted({tag for tags in sentences for tag in tags})
    codes = np.array([names.index(tag) for tags in sentences for tag in tags], np.int64)
    return names, codes, np.cumsum([0, *map(len, sentences)])


def read(*sentences: str) -> tuple[list[str], int]:
    """Sentences after conversion, and how many tags were broken."""
    names, codes, offsets = flat([tags.split() for tags in sentences])
    found = as_iob2(names, codes, offsets)
    tags = [found.names[code] for code in found.codes]
    ends = pairwise(offsets)
    return [" ".join(tags[start:end]) for start, end in ends], found.broken


@pytest.mark.parametrize(
    ("scheme", "sentence", "iob2", "broken"),
    [
        ("IOB2", "B-PER I-PER O B-LOC B-LOC", "B-PER I-PER O B-LOC B-LOC", 0),
        ("IOB1", "I-PER I-PER O I-LOC B-LOC", "B-PER I-PER O B-LOC B-LOC", 0),
        ("IOB1, types that touch", "I-PER I-LOC", "B-PER B-LOC", 0),
        ("BIOES", "B-PER E-PER O S-LOC S-LOC", "B-PER I-PER O B-LOC B-LOC", 0),
        ("BIOES, three words", "B-PER I-PER E-PER E-PER", "B-PER I-PER I-PER B-PER", 1),
        ("BILOU", "B-PER L-PER O U-LOC U-LOC", "B-PER I-PER O B-LOC B-LOC", 0),
        ("BMEWO", "B-PER M-PER E-PER W-PER O", "B-PER I-PER I-PER B-PER O", 0),
        ("IOB2, broken", "O I-PER O B-LOC I-PER", "O B-PER O B-LOC B-PER", 2),
        ("an end without a beginning", "O E-PER", "O B-PER", 1),
    ],
)
def test_schemes_are_read_as_iob2(scheme: str, sentence: str, iob2: str, broken: int) -> None:
    assert read(sentence) == ([iob2], broken)


def test_a_span_does_not_go_over_the_end_of_a_sentence() -> None:
    assert read("O B-PER", "I-PER O") == (["O B-PER", "B-PER O"], 1)


def test_words_without_a_tag_stay_without() -> None:
    found = as_iob2(["B-x"], np.array([-1, 0, -1]), np.array([0, 3]))
    assert found.codes.tolist() == [-1, 0, -1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"PER": "PER"}, "B-PER I-PER O O O"),
        ({"PER": "name", "LOC": "name"}, "B-name I-name B-name I-name O"),
        ({"PER": "O", "LOC": "place"}, "O O B-place I-place O"),
        ({"PER": "PER", "B-LOC": "B-LOC"}, "B-PER I-PER B-LOC O O"),
        ({"PER": "PER", "O": "nothing"}, "B-PER I-PER O O nothing"),
        ({"B-PER": "B-x", "O": "O"}, "B-x - - - O"),  # tags alone: the others are left out
        ({"PRE": "PRE"}, "- - - - -"),
    ],
)
def test_a_type_stands_for_its_tags(wanted: dict[str, str], expected: str) -> None:
    found = of_types(wanted, TAGS)
    order = ("B-PER", "I-PER", "B-LOC", "I-LOC", "O")
    assert " ".join(found.get(tag, "-") for tag in order) == expected


def test_what_is_spans() -> None:
    assert are_spans(TAGS)
    assert are_spans(("S-x", "O"))
    assert not are_spans(("NOUN", "VERB", "X-tra", "O"))
    assert not are_spans(("O",))


@given(st.lists(st.lists(st.sampled_from(TAGS), max_size=8), min_size=1, max_size=6))
def test_spans_are_seqevals(sentences: list[list[str]]) -> None:
    names, codes, offsets = flat(sentences)
    found = spans(names, codes, offsets)
    kinds = list(dict.fromkeys(tag[2:] for tag in names if tag != "O"))
    ours = [
        (int(s), kinds[k], int(a - offsets[s]), int(b - offsets[s]) - 1)
        for s, k, a, b in zip(found.sentence, found.kind, found.start, found.end, strict=True)
    ]
    theirs = [(s, *each) for s, tags in enumerate(sentences) for each in get_entities(tags)]
    assert ours == theirs


SINGLE = (*TAGS, "E-LOC", "E-PER", "S-LOC", "S-PER")


@given(st.lists(st.lists(st.sampled_from(SINGLE), max_size=8), min_size=1, max_size=6))
def test_conversion_changes_no_span(sentences: list[list[str]]) -> None:
    converted, _ = read(*map(" ".join, sentences)) if any(sentences) else ([], 0)
    for before, after in zip(sentences, converted, strict=False):
        assert get_entities(before) == get_entities(after.split())
