"""Will this source help? Scores of a teacher on labelled target examples, before any student.

A hint, never a verdict: no score predicts transfer everywhere (Agostinelli et al. 2022, arXiv
2204.01403).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from ctkd_cli.distillation.folds import deal

PERMUTATIONS = 200
PRIOR = 0.1  # pseudo-counts per source label, as in bridge=leep
MATTERS = 0.01  # nats per label: a smaller gain is none, however sure
AT_MOST = 2_000  # labelled examples that are looked at


COLUMNS = {  # scores as reports show them
    "leep_gain": "LEEP gain", "null": "95% null", "p_value": "p", "logme": "LogME",
    "h_score": "H-score", "nce": "NCE",
}  # fmt: skip


@dataclass(frozen=True)
class Hint:
    """leep_gain: nats per label that the teacher's distribution saves over knowing only how common
    the labels are, cross-validated. null: the gain that 95% of label permutations stay below.
    p_value: of the gain under permutation. logme, h_score: of the features, higher is better.
    nce: negative conditional entropy of the label given the teacher's decision, in nats, at most 0.
    """

    leep_gain: float
    null: float
    p_value: float
    logme: float
    h_score: float
    nce: float

    @property
    def promising(self) -> bool:
        """Whether the teacher's labels say more of the target's than chance would."""
        return self.p_value <= 0.05 and self.leep_gain >= MATTERS

    @property
    def sentence(self) -> str:
        """The hint in words."""
        if self.leep_gain < MATTERS:
            return (
                f"the teacher's labels save less than {MATTERS} nats per label of the target's, "
                "too little to matter: if anything carries over, its features do"
            )
        figures = (
            f"{self.leep_gain:+.2f} nats per label, where 95% of shuffled labels stay below "
            f"{self.null:+.2f}"
        )
        if self.promising:
            return f"the teacher's labels tell something of the target's ({figures}): expect a gain"
        return (
            f"the teacher's labels tell no more of the target's than chance ({figures}): if "
            "anything carries over, its features do"
        )


def judged(hints: Iterable[Hint], outcome: str) -> str:
    """Whether the hints were right, now that it is known whether the student did better than alone
    (`helped`, `hurt` or `open`)."""
    promising = any(each.promising for each in hints)
    if outcome == "hurt" and not promising:
        return "The hint was right: no gain was to be expected, and distillation even hurt."
    if outcome == "helped":
        return (
            "The hint was right: a gain was to be expected, and there is one."
            if promising
            else "The hint was wrong: a gain came although the teacher's labels promised none."
        )
    if promising:
        return "The hint was wrong: it promised a gain, and none can be claimed."
    return "The hint was right: no gain was to be expected, and none can be claimed."


def hint(logits: np.ndarray, features: np.ndarray | None, gold: np.ndarray, n_labels: int) -> Hint:
    """All scores, of positions with a label; those of features are NaN for a teacher that has none.
    logits: [n, K_S], features: [n, d_T], gold: [n] below n_labels."""
    generator = np.random.default_rng(0)
    if len(gold) > AT_MOST:
        rows = generator.choice(len(gold), AT_MOST, replace=False)
        logits, gold = logits[rows], gold[rows]
        features = None if features is None else features[rows]
    probabilities = softmax(logits.astype(np.float64), axis=1)
    gain = leep_gain(probabilities, gold, n_labels)
    null = np.array(
        [
            leep_gain(probabilities, generator.permutation(gold), n_labels)
            for _ in range(PERMUTATIONS)
        ]
    )
    return Hint(
        leep_gain=gain,
        null=float(np.quantile(null, 0.95)),
        p_value=float((1 + (null >= gain).sum()) / (1 + PERMUTATIONS)),
        logme=float("nan") if features is None else logme(features, gold),
        h_score=float("nan") if features is None else h_score(features, gold),
        nce=nce(probabilities.argmax(axis=1), gold),
    )


def leep_gain(probabilities: np.ndarray, gold: np.ndarray, n_labels: int) -> float:
    """Mean of log sum_z theta(x)_z P(y given z) - log P(y), each example judged by the others'
    counts: nats per label. In-sample LEEP beats the prior for any teacher and proves nothing.

    probabilities: theta, [n, K_S]. gold: [n]. Source: Nguyen et al., LEEP, ICML 2020 (arXiv
    2002.12462), cross-validated here.
    """
    one_hot = np.eye(n_labels)[gold]
    folds = deal(gold)
    gains = np.zeros(len(gold))
    for fold in np.unique(folds):
        out, rest = folds == fold, folds != fold
        if not rest.any():
            continue
        # One example of each label beside the counts, so that no label is impossible.
        prior = (one_hot[rest].sum(axis=0) + 1) / (rest.sum() + n_labels)
        counts = probabilities[rest].T @ one_hot[rest]  # [K_S, K_T]
        given = (counts + PRIOR * prior) / (counts.sum(axis=1, keepdims=True) + PRIOR)
        likelihood = probabilities[out] @ given
        gains[out] = np.log(likelihood / prior)[np.arange(out.sum()), gold[out]]
    return float(gains.mean())


def nce(decided: np.ndarray, gold: np.ndarray) -> float:
    """-H(Y given Z), nats, of the teacher's decisions Z [n] and the labels Y [n].

    Source: Tran, Nguyen, Hassner, ICCV 2019 (arXiv 1908.08142).
    """
    _, z = np.unique(decided, return_inverse=True)
    _, y = np.unique(gold, return_inverse=True)
    joint = np.zeros((z.max() + 1, y.max() + 1))
    np.add.at(joint, (z, y), 1 / len(gold))
    given = joint / joint.sum(axis=1, keepdims=True)
    return float((joint * np.log(np.where(joint > 0, given, 1))).sum())


def h_score(features: np.ndarray, gold: np.ndarray) -> float:
    """tr(cov(h)^-1 cov(E[h given y])), between 0 and K - 1: how much of the features' variance the
    label explains.

    With few examples the plain covariance has no inverse, and a pseudo-inverse scores every
    teacher alike: it is shrunk as Ledoit and Wolf do, and so is the class means' part.

    Source: Bao et al., ICIP 2019; shrunk by Ibrahim et al. 2021 (arXiv 2110.06893).
    """
    from sklearn.covariance import ledoit_wolf

    h = np.asarray(features, np.float64) - features.mean(axis=0)
    covariance, shrinkage = ledoit_wolf(h, assume_centered=True)
    means = np.zeros_like(h)
    for label in np.unique(gold):
        means[gold == label] = h[gold == label].mean(axis=0)
    between = (1 - shrinkage) * means.T @ means / len(h)
    return float(np.trace(np.linalg.pinv(covariance, hermitian=True) @ between))


def logme(features: np.ndarray, gold: np.ndarray) -> float:
    """Mean over labels of the maximal log evidence per example of a Bayesian linear model that
    predicts the label's indicator from the features.

    Source: You et al., LogME, ICML 2021 (arXiv 2102.11005), with the fixed-point iteration of its
    journal version.
    """
    h = np.asarray(features, np.float64)
    left, singular, _ = np.linalg.svd(h, full_matrices=False)
    values = [
        _evidence((gold == label).astype(np.float64), left, singular, h.shape)
        for label in np.unique(gold)
    ]
    return float(np.mean(values))


def _evidence(
    y: np.ndarray, left: np.ndarray, singular: np.ndarray, shape: tuple[int, int]
) -> float:
    """max over alpha (precision of weights) and beta (of noise) of log p(y) / n."""
    n, d = shape
    squared = singular**2  # eigenvalues of h^t h; the other d - r are 0
    projected = left.T @ y
    outside = float(y @ y - projected @ projected)  # what no weights can explain
    alpha, beta = 1.0, 1.0
    for _ in range(100):
        shrunk = beta * squared + alpha
        weights = float((beta**2 * squared * projected**2 / shrunk**2).sum())  # |m|^2
        residual = float((projected**2 * (alpha / shrunk) ** 2).sum()) + outside
        used = float((beta * squared / shrunk).sum())  # effective number of weights
        before = alpha / beta
        alpha = max(used, 1e-12) / max(weights, 1e-12)
        beta = max(n - used, 1e-12) / max(residual, 1e-12)
        if abs(alpha / beta - before) <= 1e-6 * before:
            break
    shrunk = beta * squared + alpha
    weights = float((beta**2 * squared * projected**2 / shrunk**2).sum())
    residual = float((projected**2 * (alpha / shrunk) ** 2).sum()) + outside
    log_determinant = float(np.log(shrunk).sum()) + (d - len(squared)) * np.log(alpha)
    evidence = (
        d * np.log(alpha) + n * np.log(beta) - log_determinant - n * np.log(2 * np.pi)
        - beta * residual - alpha * weights
    ) / 2  # fmt: skip
    return float(evidence / n)
