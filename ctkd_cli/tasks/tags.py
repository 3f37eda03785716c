"""Tags of spans, such as B-PER, I-PER and O, in the schemes that people write them in.

| scheme | begins | goes on | ends | alone |
|---|---|---|---|---|
| IOB1 | I, or B right after another of its type | I | I | I |
| IOB2 | B | I | I | B |
| IOBES (BIOES), BILOU, BMEWO | B | I or M | E or L | S, U or W |

Inside ctkd all are IOB2 (Tjong Kim Sang and Veenstra, EACL 1999). A span is read the way seqeval
and conlleval read it: one that begins in the middle begins all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

OUTSIDE = "O"
PREFIXES = "BIMELSUW"
ENDS, SINGLES = "EL", "SUW"  # of a span, and of one that is a single word


def are_spans(tags: Sequence[str]) -> bool:
    """Whether tags are of spans: all but O begin with a prefix."""
    prefixed = [tag for tag in tags if tag != OUTSIDE]
    return bool(prefixed) and all(
        len(tag) > 2 and tag[0] in PREFIXES and tag[1] == "-" for tag in prefixed
    )


def types(tags: Sequence[str]) -> list[str]:
    """The types of spans, in the order of their tags."""
    return list(dict.fromkeys(tag[2:] for tag in tags if tag != OUTSIDE))


def of_types(wanted: Mapping[str, str], tags: Sequence[str]) -> Mapping[str, str]:
    """What tags become where types may stand for their tags. Where one does, words of other types
    are of none: O."""
    if all(name in tags for name in wanted) or not set(wanted) & set(types(tags)):
        return wanted
    found: dict[str, str] = {}
    for name, new in wanted.items():
        own = [tag for tag in tags if tag != OUTSIDE and tag[2:] == name and name not in tags]
        found |= {tag: new if new == OUTSIDE else tag[:2] + new for tag in own} or {name: new}
    return {**found, **{tag: OUTSIDE for tag in tags if tag not in found}}


@dataclass(frozen=True)
class Read:
    """Tags read as IOB2. names, codes: as Column's. broken: how many begin in the middle of a span,
    or go on with another one, which their scheme does not allow."""

    names: tuple[str, ...]
    codes: np.ndarray
    broken: int


def as_iob2(names: Sequence[str], codes: np.ndarray, offsets: np.ndarray) -> Read:
    """Tags of all sentences in whatever scheme they came. codes: [S] index into names, -1 where a
    word has no tag; offsets: [N + 1] of the sentences."""
    kinds = types(names)
    prefix = np.array([*(PREFIXES.find(tag[0]) if tag != OUTSIDE else -1 for tag in names), -1])
    kind = np.array([*(kinds.index(tag[2:]) if tag != OUTSIDE else -1 for tag in names), -1])
    prefix, kind = prefix[codes], kind[codes]
    first = np.zeros(len(codes), dtype=bool)
    first[offsets[:-1][np.diff(offsets) > 0]] = True
    before_prefix = np.where(first, -1, np.roll(prefix, 1))
    before = np.where(first, -1, np.roll(kind, 1))
    begin, inside = PREFIXES.index("B"), PREFIXES.index("I")
    single = np.isin(prefix, [PREFIXES.index(p) for p in SINGLES])
    ended = np.isin(before_prefix, [PREFIXES.index(p) for p in ENDS + SINGLES])
    span = kind >= 0
    begins = span & ((prefix == begin) | single | (before != kind) | ended)
    # IOB1 has no B but between two spans of a type; elsewhere, a span that begins with I or ends
    # without having begun is broken.
    iob1 = _is_iob1(prefix, span, before, kind)
    wrong = begins & ~single & (prefix != begin)
    if iob1:
        wrong &= prefix != inside
    found = [OUTSIDE, *(f"B-{each}" for each in kinds), *(f"I-{each}" for each in kinds)]
    n = len(kinds)
    new = np.where(span, np.where(begins, 1 + kind, 1 + n + kind), 0)
    new[codes < 0] = -1
    present = np.unique(new[new >= 0])
    place = np.full(len(found) + 1, -1)
    place[present] = np.arange(len(present))
    return Read(tuple(found[k] for k in present), place[new], int(wrong.sum()))


def _is_iob1(prefix: np.ndarray, span: np.ndarray, before: np.ndarray, kind: np.ndarray) -> bool:
    """Whether B stands between two spans of one type only, and spans begin with I elsewhere."""
    begin, inside = PREFIXES.index("B"), PREFIXES.index("I")
    if np.isin(prefix, [PREFIXES.index(p) for p in ENDS + SINGLES]).any():
        return False
    lone_begins = (span & (prefix == begin) & (before != kind)).any()
    lone_insides = (span & (prefix == inside) & (before != kind)).any()
    return bool(lone_insides and not lone_begins)


@dataclass(frozen=True)
class Spans:
    """Spans of N sentences. sentence, start, end, kind: [n]; end is exclusive, words are numbered
    over all sentences; kind: index into types."""

    sentence: np.ndarray
    start: np.ndarray
    end: np.ndarray
    kind: np.ndarray


def spans(names: Sequence[str], codes: np.ndarray, offsets: np.ndarray) -> Spans:
    """The spans of tags in IOB2; one that begins with I begins all the same."""
    kinds = types(names)
    begins_with = np.array([*(tag[0] == "B" for tag in names), False])[codes]
    kind = np.array([*(kinds.index(t[2:]) if t != OUTSIDE else -1 for t in names), -1])[codes]
    first = np.zeros(len(codes) + 1, dtype=bool)
    first[offsets] = True
    before = np.where(first[:-1], -1, np.roll(kind, 1)) if len(kind) else kind
    begins = (kind >= 0) & (begins_with | (before != kind))
    start = np.flatnonzero(begins)
    # A span ends before whatever is not its going on: another begin, another type, a sentence.
    after = np.concatenate([kind[1:], [-1]]) if len(kind) else kind
    stops = (kind >= 0) & (np.concatenate([begins[1:], [True]]) | (after != kind) | first[1:])
    end = np.flatnonzero(stops) + 1
    sentence = np.searchsorted(offsets, start, side="right") - 1
    return Spans(sentence, start, end, kind[start])
