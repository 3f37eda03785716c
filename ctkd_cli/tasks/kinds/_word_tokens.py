"""Sentences of words as a tokenizer reads them: windows of tokens, and where each word begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from ctkd_cli.tasks.kinds._ragged import Ragged

STAND_IN = "?"  # for a word that a tokenizer makes nothing of, so that none is lost
TYPES = "token_type_ids"


@dataclass(frozen=True)
class _Flat:
    """The tokens of some sentences, one after the other. position: at the first token of each word
    its number in its sentence, from 1, 0 elsewhere; special: those that stand for no words; all
    [T]. offsets: [N + 1], of the sentences. lost: the sentences with a word that has no token."""

    columns: Mapping[str, np.ndarray]
    position: np.ndarray
    special: np.ndarray
    offsets: np.ndarray
    lost: np.ndarray

    def joined(self, other: _Flat) -> _Flat:
        """One after the other."""
        return _Flat(
            {
                name: np.concatenate([own, other.columns[name]])
                for name, own in self.columns.items()
            },
            np.concatenate([self.position, other.position]),
            np.concatenate([self.special, other.special]),
            np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            other.lost,
        )


def tokenised(
    sentences: Sequence[Sequence[str]], tokenizer: Any, limit: int, stride: int
) -> Ragged:
    """A row per sentence, read as its words with blanks between them.

    `input_ids`: its tokens, special ones among them, window after window where it is longer than
    `limit` tokens; all but the last are `limit` long and share `stride` tokens with the next.
    `position`: at the first token of each word its number, from 1, in the window where most is
    around it; 0 elsewhere.
    """
    flat = _read(sentences, tokenizer)
    own = np.split(np.arange(flat.offsets[-1]), flat.offsets[1:-1])  # places of each row's tokens
    if len(flat.lost):
        again = _read(
            [_readable(sentences[k], flat.position[own[k]]) for k in flat.lost], tokenizer
        )
        for row, start, end in zip(flat.lost, again.offsets, again.offsets[1:], strict=False):
            own[row] = flat.offsets[-1] + np.arange(start, end)
        flat = flat.joined(again)
    cut: dict[int, np.ndarray] = {}
    for row, places in enumerate(own):
        if len(places) > limit:
            position, special = flat.position[places], flat.special[places]
            own[row], cut[row] = _windows(places, special, position, limit, stride)
    rows, offsets = np.concatenate(own), np.cumsum([0, *map(len, own)])
    columns = {name: values[rows] for name, values in flat.columns.items()}
    columns["position"] = flat.position[rows]
    for row, position in cut.items():
        columns["position"][offsets[row] : offsets[row + 1]] = position
    longest = max(map(len, sentences), default=0)
    kind = np.uint16 if max(len(tokenizer), longest + 1) <= 2**16 else np.int32
    return Ragged({name: values.astype(kind) for name, values in columns.items()}, offsets)


def windows(row: Mapping[str, np.ndarray], limit: int) -> list[dict[str, np.ndarray]]:
    """The windows of a row of `tokenised`, with all its columns."""
    return [
        {name: values[start : start + limit] for name, values in row.items()}
        for start in range(0, max(1, len(row["input_ids"])), limit)
    ]


def _read(sentences: Sequence[Sequence[str]], tokenizer: Any) -> _Flat:
    encoded = tokenizer(
        [" ".join(words) for words in sentences],
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        verbose=False,
    )
    offsets = np.cumsum([0, *map(len, encoded["input_ids"])])
    n_tokens = int(offsets[-1])

    def flat(name: str) -> np.ndarray:
        return np.fromiter(chain.from_iterable(encoded[name]), np.int64, n_tokens)

    spans = chain.from_iterable(chain.from_iterable(encoded["offset_mapping"]))
    first, last = np.fromiter(spans, np.int64, 2 * n_tokens).reshape(-1, 2).T
    special = flat("special_tokens_mask") > 0
    # As if all sentences were one text, with a blank after each word: where words end, past it.
    n_words = np.array([*map(len, sentences)])
    ends = np.cumsum([len(word) + 1 for words in sentences for word in words], dtype=np.int64)
    words_before = np.cumsum([0, *n_words])
    sentence = np.repeat(np.arange(len(sentences)), np.diff(offsets))
    base = np.concatenate([[0], ends])[words_before[:-1]][sentence]
    word = np.searchsorted(ends, base + last - 1, side="right")
    inside = ~special & (last > first) & (word < words_before[1:][sentence])
    inside[inside] = (base + last)[inside] < ends[word[inside]]  # no tokens of blanks
    places = np.flatnonzero(inside)
    begins = places[np.diff(word[places], prepend=-1) > 0]
    position = np.zeros(n_tokens, np.int64)
    position[begins] = 1 + word[begins] - words_before[sentence[begins]]
    found = np.bincount(sentence[begins], minlength=len(sentences))
    names = ["input_ids", *([TYPES] if TYPES in tokenizer.model_input_names else [])]
    return _Flat(
        {name: flat(name) for name in names if name in encoded},
        position,
        special,
        offsets,
        np.flatnonzero(found < n_words),
    )


def _windows(
    places: np.ndarray, special: np.ndarray, position: np.ndarray, limit: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of a sentence [T] in windows: their places [L], and position [L], which a word has
    in one window alone: where the nearer end that cuts the sentence is farthest."""
    body = np.flatnonzero(~special)
    before, after = np.arange(body[0]), np.arange(body[-1] + 1, len(places))
    body = np.arange(body[0], body[-1] + 1)
    room = limit - len(before) - len(after)
    step = room - min(stride, room - 1)
    pieces, around = [], []
    for start in range(0, max(1, len(body) - room + step), step):
        piece = body[start : start + room]
        to_left = np.arange(len(piece)) if start else np.full(len(piece), len(body))
        to_right = len(piece) - 1 - np.arange(len(piece))
        if start + room >= len(body):
            to_right[:] = len(body)
        pieces += [before, piece, after]
        around += [0 * before, np.minimum(to_left, to_right), 0 * after]
    rows, context = np.concatenate(pieces), np.concatenate(around)
    kept = position[rows]
    order = np.lexsort((-context, kept))  # of a word's places, the best one first
    again = np.diff(kept[order], prepend=-1) == 0
    kept[order[again]] = 0
    return places[rows], kept


def _readable(words: Sequence[str], positions: np.ndarray) -> list[str]:
    """The words, with a stand-in for those that have no token."""
    seen = set(positions.tolist())
    return [word if number in seen else STAND_IN for number, word in enumerate(words, 1)]
