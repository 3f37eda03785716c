"""How several teachers share lambda: L = CE + lambda * sum_k w_k(x) L_k, with sum_k w_k(x) = 1.

| fusion | w_k |
|---|---|
| uniform | the same for all |
| leep | softmax over teachers of the cross-validated LEEP gain on labelled target train |
| confidence | of each example: proportional to 1 - H(p_k(x)) / log K_k |
| merge | no weights: the sources become one task, with one teacher |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ctkd_cli.tasks.split import UNLABELLED

if TYPE_CHECKING:
    from ctkd_cli.distillation.knowledge import Rows

Fusion = Literal["merge", "uniform", "leep", "confidence"]
SHARPNESS = 10.0  # per nat: a gain of 0.1 nats more is worth a factor of e in weight


def weights(
    how: Fusion, logits: Sequence[Rows], gold: np.ndarray, n_target_labels: int
) -> list[np.ndarray]:
    """A weight per teacher and example, [N] each; they sum to 1 over the teachers.

    logits: of each teacher, [N, K_k]. gold: [N], UNLABELLED where there is none.
    """
    shape = (len(logits), len(gold))
    if len(logits) == 1 or how in ("uniform", "merge"):
        return list(np.broadcast_to(1 / len(logits), shape))
    from scipy.special import entr, softmax  # not at start-up: settings name the ways only

    from ctkd_cli.distillation.transfer import leep_gain

    probabilities = [softmax(np.asarray(each, np.float64), axis=1) for each in logits]
    if how == "leep":
        labelled = np.flatnonzero(gold != UNLABELLED)
        gains = [leep_gain(p[labelled], gold[labelled], n_target_labels) for p in probabilities]
        share = softmax(SHARPNESS * np.array(gains))
        return list(np.broadcast_to(share[:, None], shape))
    confidence = np.stack([1 - entr(p).sum(axis=1) / np.log(p.shape[1]) for p in probabilities])
    confidence = np.maximum(confidence, 1e-6)  # all undecided: all alike
    return list(confidence / confidence.sum(axis=0))
