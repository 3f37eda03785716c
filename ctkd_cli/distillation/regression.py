"""Logistic regression by scikit-learn, the one way it is called."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

ClassWeight = Literal["balanced"] | None  # scikit-learn's: None is all alike


def fit(
    features: Any,
    gold: np.ndarray,
    strength: float,
    weights: np.ndarray | None = None,
    class_weight: ClassWeight = None,
) -> Any:
    """A fitted LogisticRegression. features: [n, d], an array or sparse; gold: [n]; strength:
    scikit-learn's C; weights: [n].

    One thread multiplies: the products of L-BFGS are small, and up to 100,000 rows of 384 features
    two threads of OpenBLAS take longer than one (1,200 rows of 150 classes: three times)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=strength, class_weight=class_weight, max_iter=1000)
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, gold, weights)
