"""Weights that are set rather than trained: a body taken over, an average, a head that a regression
gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ctkd_cli.distillation.probe import few_labels_probe
from ctkd_cli.tasks import imbalance
from ctkd_cli.tasks.positions import UNLABELLED
from ctkd_cli.training import inference
from ctkd_cli.training.inference import positions_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from transformers import PreTrainedModel

    from ctkd_cli.arms.encoded_task import EncodedTask
    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.tasks.imbalance import ClassWeights
    from ctkd_cli.training.inference import LoadedModel

MOST = 10_000  # labelled positions that a head's regression reads


def body(backbone: Backbone, model: PreTrainedModel) -> dict[str, Tensor]:
    """All weights but those of the head, by name; not copied."""
    head = backbone.head(model)
    own = next((name for name, module in model.named_modules() if module is head), None)
    return {k: v for k, v in model.state_dict().items() if k.rpartition(".")[0] != own}


def take_body(backbone: Backbone, model: PreTrainedModel, other: PreTrainedModel) -> None:
    """Copy all weights but those of the head from another model of this sort."""
    model.load_state_dict(body(backbone, other), strict=False)


def average(
    backbone: Backbone, model: PreTrainedModel, before: Mapping[str, Tensor], share: float
) -> None:
    """Move the body's weights back towards what they were: `share` of what they are now, the rest
    of what they were before (Wortsman et al. 2022, WiSE-FT, arXiv 2109.01903)."""
    mixed = {
        name: torch.lerp(before[name].to(now), now, share) if now.is_floating_point() else now
        for name, now in body(backbone, model).items()
    }
    model.load_state_dict(mixed, strict=False)


def regress_head(
    loaded: LoadedModel, target: EncodedTask, seed: int, class_weights: ClassWeights = "none"
) -> None:
    """Give the head the weights of a logistic regression on what the body, as it is, makes of the
    labelled train examples, or of so many as have MOST positions (Kumar et al. 2022, LP-FT,
    arXiv 2202.10054). Rows of labels without an example stay as they are; so does all where fewer
    than two labels have any."""
    encoded, labels = target.splits["train"], target.task.train.labels
    rows = np.flatnonzero(labels.labelled)
    n_positions = len(positions_of(encoded, rows)[0])
    if n_positions > MOST:
        rows = np.random.default_rng([seed, 6]).permutation(rows)[: MOST * len(rows) // n_positions]
    gold = labels.of(*positions_of(encoded, rows))
    features: np.ndarray | None = None
    for read in inference.batches(loaded, encoded.select(rows)):
        assert read.features is not None, "a student has features"
        if features is None:
            features = np.empty((len(gold), read.features.shape[1]), np.float32)
        features[read.positions] = read.features
    known = gold != UNLABELLED
    if features is None or len(np.unique(gold[known])) < 2:
        return
    features, gold = features[known], gold[known]
    n_labels = len(target.task.labels)
    one_each = labels.offsets is None
    weights = imbalance.class_weights(gold, n_labels, class_weights, one_each)
    each = None if weights is None else weights[gold]
    probe = few_labels_probe(features, gold, n_labels, each)
    weight, bias = probe.as_head()
    head = loaded.backbone.head(loaded.model)
    assert head is not None, "a student has a head"
    with torch.no_grad():
        for place in probe.classes:
            head.weight[place] = torch.as_tensor(weight[place]).to(head.weight)
            if head.bias is not None:
                head.bias[place] = float(bias[place])
