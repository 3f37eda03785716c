"""Temperature scaling: one number that makes a model's confidence honest."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BOUNDS = (0.05, 20.0)  # of the temperature; beyond, logits are noise or certainty


def fit_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The temperature T at which softmax(logits / T) has the smallest NLL on validation.

    logits: [N, K], gold: [N] label indices. Searched in log T within BOUNDS: a validation set
    without errors would have it at 0.

    Source: Guo et al., ICML 2017 (arXiv 1706.04599).
    """
    rows = np.arange(len(gold))

    def nll(log_temperature: float) -> float:
        scaled = np.asarray(logits, np.float64) / np.exp(log_temperature)
        return -float(log_softmax(scaled, axis=1)[rows, gold].mean())

    low, high = np.log(BOUNDS)
    found = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [N, K] as they are at another temperature: softmax(log p / T)."""
    logs = np.log(np.maximum(probabilities, 1e-300))
    return np.asarray(softmax(logs / temperature, axis=1))
