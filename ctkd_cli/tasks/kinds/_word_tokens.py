"""Sentences of words as a tokenizer reads them: windows of tokens, and where each word begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ctkd_cli.tasks.kinds._ragged import Ragged

STAND_IN = "?"  # for a word that a tokenizer makes nothing of, so that none is lost
NAMES = ("input_ids", "token_type_ids")


def tokenised(
    sentences: Sequence[Sequence[str]], tokenizer: Any, limit: int, stride: int
) -> Ragged:
    """A row per sentence, read as its words with blanks between them.

    `input_ids`: its tokens, special ones among them, window after window where it is longer than
    `limit` tokens; all but the last are `limit` long and share `stride` tokens with the next.
    `position`: at the first token of each word its number, from 1, in the window where most is
    around it; 0 elsewhere.
    """
    columns = _columns(sentences, tokenizer, limit, stride)
    lost = [
        row
        for row, words in enumerate(sentences)
        if np.count_nonzero(columns["position"][row]) < len(words)
    ]
    if lost:
        again = [_readable(sentences[row], columns["position"][row]) for row in lost]
        for name, rows in _columns(again, tokenizer, limit, stride).items():
            for row, values in zip(lost, rows, strict=True):
                columns[name][row] = values
    longest = max(map(len, sentences), default=0)
    return Ragged.of(columns, below=max(len(tokenizer), longest + 1))


def windows(row: Mapping[str, np.ndarray], limit: int) -> list[dict[str, np.ndarray]]:
    """The windows of a row of `tokenised`, with all its columns."""
    return [
        {name: values[start : start + limit] for name, values in row.items()}
        for start in range(0, max(1, len(row["input_ids"])), limit)
    ]


def _columns(
    sentences: Sequence[Sequence[str]], tokenizer: Any, limit: int, stride: int
) -> dict[str, list[Any]]:
    room = limit - tokenizer.num_special_tokens_to_add()
    encoded = tokenizer(
        [" ".join(words) for words in sentences],
        truncation=True,
        max_length=limit,
        stride=min(stride, max(0, room - 1)),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    names = [name for name in NAMES if name in tokenizer.model_input_names and name in encoded]
    mine: list[list[int]] = [[] for _ in sentences]
    for window, sentence in enumerate(encoded["overflow_to_sample_mapping"]):
        mine[sentence].append(window)
    columns: dict[str, list[Any]] = {name: [] for name in (*names, "position")}
    for words, own in zip(sentences, mine, strict=True):
        for name in names:
            columns[name].append([token for window in own for token in encoded[name][window]])
        offsets = [np.asarray(encoded["offset_mapping"][window]) for window in own]
        columns["position"].append(_positions(words, offsets))
    return columns


def _positions(words: Sequence[str], offsets: Sequence[np.ndarray]) -> np.ndarray:
    """Of the tokens of all windows, one after the other. offsets: of each window, [T, 2], the
    characters that each token stands for; none for special ones."""
    ends = np.cumsum([len(word) + 1 for word in words])  # past the blank after each word
    found = np.zeros(sum(map(len, offsets)), np.int64)
    best = np.zeros(len(words), np.int64)  # what is around each word's first token, where it is
    place = np.full(len(words), -1)
    start, read = 0, 0  # read: characters that windows before this one have seen
    for window in offsets:
        first, last = window[:, 0], window[:, 1]
        tokens = np.flatnonzero(last > first)
        word = np.searchsorted(ends, last[tokens] - 1, side="right")
        inside = (word < len(words)) & (last[tokens] < ends[np.minimum(word, len(words) - 1)])
        tokens, word = tokens[inside], word[inside]  # no tokens of blanks
        begins = np.diff(word, prepend=-1) > 0
        if len(tokens) and last[tokens[0]] <= read:
            begins[0] = False  # of a word whose beginning may lie in the window before
        around = np.minimum(tokens, len(window) - tokens)
        better = begins & (around > best[word])
        best[word[better]], place[word[better]] = around[better], start + tokens[better]
        read = max(read, int(last.max(initial=0)))
        start += len(window)
    there = place >= 0
    found[place[there]] = 1 + np.flatnonzero(there)
    return found


def _readable(words: Sequence[str], positions: np.ndarray) -> list[str]:
    """The words, with a stand-in for those that have no token."""
    seen = set(positions.tolist())
    return [word if number in seen else STAND_IN for number, word in enumerate(words, 1)]
