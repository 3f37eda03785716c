"""TF-IDF and logistic regression: what three lines of scikit-learn make of the labelled texts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ctkd_cli.arms import _logistic
from ctkd_cli.arms.efficiency import BATCH, REPEATS


@dataclass(frozen=True)
class TfIdf:
    """vectorizer: scikit-learn's; None where the labelled texts hold no word."""

    vectorizer: Any
    fitted: _logistic.Fitted

    @classmethod
    def fit(cls, texts: Sequence[str], gold: np.ndarray, n_labels: int) -> Self:
        """gold: [n] label indices."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer: Any = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
        try:
            features = vectorizer.fit_transform(texts)
        except ValueError:  # an empty vocabulary: how common labels are is all that is left
            vectorizer, features = None, np.zeros((len(texts), 1))
        return cls(vectorizer, _logistic.fit(features, gold, n_labels))

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Log-probabilities [n, K]."""
        if self.vectorizer is None:
            return self.fitted.logits(np.zeros((len(texts), 1)))
        return self.fitted.logits(self.vectorizer.transform(texts))

    def cost(self, texts: Sequence[str]) -> dict[str, float]:
        """What it costs to use, as `efficiency` has it: from texts to answers. The idf of a word is
        a parameter too; a vocabulary's words are bytes."""
        words = {} if self.vectorizer is None else self.vectorizer.vocabulary_
        parameters = self.fitted.parameters + len(words)
        middle = sorted(texts, key=len)[max(0, (len(texts) - BATCH) // 2) :][:BATCH]
        one = middle[len(middle) // 2 :][:1]
        return {
            "parameters": parameters,
            "megabytes": (8 * parameters + sum(len(word.encode()) for word in words)) / 1e6,
            "latency": 1e3 * self._seconds(one),
            "throughput": len(middle) / self._seconds(middle),
        }

    def _seconds(self, texts: Sequence[str]) -> float:
        took = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            self.logits(texts)
            took.append(time.perf_counter() - began)
        return float(np.median(took))
