"""How near a source's texts are to the target's, before any model has read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ctkd_cli.tasks.task import Task

AT_MOST = 1_000  # texts of a task that are looked at
NEAR = 0.25  # similarity; docs/benchmarks.md has what came of pairs above and below it


def nearness(sources: Mapping[str, Task], target: Task) -> dict[str, float]:
    """Of each source the cosine between the mean TF-IDF vectors (scikit-learn's, words but for
    English stop words) of its train inputs and of the target's, from 0 to 1, the nearest first.
    Sources that are no texts are left out, and so are all where the target is none."""
    found = {}
    ours = _texts(target)
    for name, source in sources.items():
        theirs = _texts(source)
        if ours and theirs:
            found[name] = similarity(theirs, ours)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def similarity(first: list[str], second: list[str]) -> float:
    """That of two lists of texts; 0 where they hold no word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    try:
        vectors = vectorizer.fit_transform([*first, *second])
    except ValueError:  # an empty vocabulary
        return 0.0
    parts = vectors[: len(first)], vectors[len(first) :]
    a, b = (np.asarray(part.mean(axis=0)).ravel() for part in parts)
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def _texts(task: Task) -> list[str]:
    train = task.train
    rows = np.random.default_rng(0).permutation(len(train))[:AT_MOST]
    return task.settings.texts(train.inputs.select(np.sort(rows))) or []
