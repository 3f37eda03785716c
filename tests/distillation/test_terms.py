"""Which soft targets are heard at positions whose label is known."""

from __future__ import annotations

import numpy as np
import pytest
from teachers import LABELS, bridged, knowledge

from ctkd_cli.distillation.folds import FOLDS, CrossFitted, deal_examples
from ctkd_cli.distillation.fusion import Weighting
from ctkd_cli.distillation.losses.kl import Kl
from ctkd_cli.distillation.terms import Term, Terms
from ctkd_cli.tasks.positions import Labels


def says_the_first(features: np.ndarray) -> np.ndarray:
    return np.tile([0.6, 0.3, 0.1], (len(features), 1))


@pytest.mark.parametrize(
    ("gold", "weights"),
    [
        ([0, 1, 2, 0], [1, 0, 0, 1]),
        ([0, 1, 2, -1], [1, 0, 0, 1]),
        ([0, 1, -1, -1], [1, 1, 1, 1]),  # half of them: few labels
        ([-1, -1, -1, -1], [1, 1, 1, 1]),
    ],
)
def test_what_labels_contradict_is_not_heard_where_most_are_known(
    gold: list[int], weights: list[int]
) -> None:
    fold = deal_examples(Labels(np.array(gold)))
    unseen = np.zeros((1 + FOLDS, len(LABELS)), dtype=bool)
    judges = CrossFitted([says_the_first] * (1 + FOLDS), fold, unseen)
    loss = Kl(name="kl")
    heard = Terms(
        (bridged(knowledge(4, labels=LABELS), gold=gold),),
        Weighting((1.0,)),
        (Term("kl", loss, 0, targets=judges), Term("kl", loss, 0)),
    )
    of_targets, of_logits = heard.at(np.arange(4), np.zeros(4, np.int64))
    assert of_targets["weight"].tolist() == weights
    assert of_logits["weight"].tolist() == [1] * 4  # no targets, nothing to contradict
