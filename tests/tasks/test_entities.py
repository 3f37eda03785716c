"""Entity scores beside seqeval's, and errors by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score

from ctkd_cli.tasks.entities import ENTITY_F1, errors, statistics

TAGS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
WORD = st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS))


def flat(pairs: list[list[tuple[str, str]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    codes = [
        np.array([TAGS.index(pair[side]) for sentence in pairs for pair in sentence], np.int64)
        for side in (0, 1)
    ]
    return codes[0], codes[1], np.cumsum([0, *map(len, pairs)])


@pytest.mark.filterwarnings("ignore")
@given(st.lists(st.lists(WORD, min_size=1, max_size=8), min_size=1, max_size=6))
def test_scores_are_seqevals(pairs: list[list[tuple[str, str]]]) -> None:
    gold, predicted = ([[pair[side] for pair in s] for s in pairs] for side in (0, 1))
    counts = statistics(TAGS, *flat(pairs))
    assert counts.shape == (len(pairs), 6)
    assert ENTITY_F1.of(counts) == pytest.approx(f1_score(gold, predicted, zero_division=0))
    by_type = classification_report(gold, predicted, output_dict=True, zero_division=0)
    totals = counts.sum(axis=0)
    for place, kind in enumerate(("LOC", "PER")):
        support = by_type.get(kind, {"support": 0})["support"]
        assert totals[place] == support


def one(gold: str, predicted: str) -> dict[str, int]:
    pairs = [list(zip(gold.split(), predicted.split(), strict=True))]
    return {sort: n for sort, n in errors(TAGS, *flat(pairs)).items() if n}


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", {}),
        ("B-PER I-PER O", "O O O", {"missed": 1}),
        ("O O O", "O B-LOC O", {"spurious": 1}),
        ("B-PER I-PER O", "B-LOC I-LOC O", {"type": 1}),
        ("B-PER I-PER O", "B-PER O O", {"boundary": 1}),
        ("B-PER I-PER O", "O B-LOC I-LOC", {"both": 1}),
        ("B-PER I-PER O B-LOC", "B-PER O O O", {"boundary": 1, "missed": 1}),
        ("B-PER I-PER I-PER", "B-PER O B-PER", {"boundary": 2}),
        ("B-PER B-PER", "B-PER I-PER", {"boundary": 1}),
    ],
)
def test_errors_by_sort(gold: str, predicted: str, expected: dict[str, int]) -> None:
    assert one(gold, predicted) == expected


def test_words_without_a_label_are_not_judged() -> None:
    gold, predicted = np.array([1, -1, 4]), np.array([1, 0, 4])
    counts = statistics(TAGS, gold, predicted, np.array([0, 3]))
    assert ENTITY_F1.of(counts) == 1
