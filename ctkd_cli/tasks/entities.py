"""How good spans of words are: an entity is right when its first word, its last and its type are.

Source: Tjong Kim Sang and De Meulder, CoNLL 2003; figures are those of seqeval (Nakayama 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctkd_cli.tasks.metric import Metric
from ctkd_cli.tasks.tags import Spans, spans, types


def _micro_f1(totals: np.ndarray) -> np.ndarray:
    gold, predicted, correct = (part.sum(axis=-1) for part in np.split(totals, 3, axis=-1))
    return np.asarray(2 * correct / np.maximum(gold + predicted, 1))


ENTITY_F1 = Metric(  # micro average over all entities
    "entity_f1",
    "entity F1",
    _micro_f1,
    meaning="F1, the harmonic mean of precision and recall, over all entities: an entity is right "
    "where its words and its type are",
)


def statistics(
    names: Sequence[str], gold: np.ndarray, predicted: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """[N, 3 T]: of each sentence, its gold, predicted and correct entities of each type. names: of
    the tags, IOB2; gold, predicted: [S] index into names, gold -1 where a word has no label: there,
    predictions are not looked at."""
    of_gold, of_predicted, right = both(names, gold, predicted, offsets)
    n, n_types = len(offsets) - 1, len(types(names))
    counts = np.zeros((3, n, max(1, n_types)))
    whole = np.ones(len(right), dtype=bool)
    np.add.at(counts[0], (of_gold.sentence, of_gold.kind), 1)
    for part, chosen in ((1, whole), (2, right)):
        np.add.at(counts[part], (of_predicted.sentence[chosen], of_predicted.kind[chosen]), 1)
    return np.concatenate(list(counts), axis=1)


def both(
    names: Sequence[str], gold: np.ndarray, predicted: np.ndarray, offsets: np.ndarray
) -> tuple[Spans, Spans, np.ndarray]:
    """Gold spans, predicted ones, and which of these are right."""
    of_gold = spans(names, gold, offsets)
    of_predicted = spans(names, np.where(gold < 0, -1, predicted), offsets)
    wanted = set(_listed(of_gold))
    right = np.array([each in wanted for each in _listed(of_predicted)], dtype=bool)
    return of_gold, of_predicted, right


def _listed(found: Spans) -> list[tuple[int, int, int]]:
    return [*zip(found.start.tolist(), found.end.tolist(), found.kind.tolist(), strict=True)]


def errors(
    names: Sequence[str], gold: np.ndarray, predicted: np.ndarray, offsets: np.ndarray
) -> dict[str, int]:
    """Wrong entities by sort, each wrong gold or predicted one counted once: `type` (the words are
    right), `boundary` (the type is, and words are shared), `both` (words are shared), `missed` and
    `spurious` (nothing is)."""
    of_gold, of_predicted, right = both(names, gold, predicted, offsets)
    counts = dict.fromkeys(("type", "boundary", "both", "missed", "spurious"), 0)
    said = zip(_listed(of_predicted), right, strict=True)
    found = {each for each, correct in said if correct}
    owner = np.full(int(offsets[-1]), -1)  # the wrong gold entity of each word
    wrong = [row for row, each in enumerate(_listed(of_gold)) if each not in found]
    for row in wrong:
        owner[of_gold.start[row] : of_gold.end[row]] = row
    met: set[int] = set()
    for start, end, kind in zip(
        of_predicted.start[~right], of_predicted.end[~right], of_predicted.kind[~right], strict=True
    ):
        touched = [row for row in np.unique(owner[start:end]) if row >= 0]
        if not touched:
            counts["spurious"] += 1
            continue
        same = [row for row in touched if of_gold.kind[row] == kind]
        row = (same or touched)[0]
        words = (of_gold.start[row], of_gold.end[row]) == (start, end)
        counts["type" if words else "boundary" if same else "both"] += 1
        met |= set(map(int, touched))
    counts["missed"] = len(set(wrong) - met)
    return counts
