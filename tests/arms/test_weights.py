"""Weights that are set: an average worked out by hand, a head that scikit-learn fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from ctkd_cli.arms.encoded_task import EncodedTask
from ctkd_cli.arms.weights import average, body, regress_head
from ctkd_cli.backbones._pooled import final_linear
from ctkd_cli.backbones.convnet import Convnet
from ctkd_cli.experiment import of_overrides
from ctkd_cli.tasks import task
from ctkd_cli.tasks.kinds.images import Images
from ctkd_cli.training import inference


def test_half_way_is_half_of_each_and_the_head_stays() -> None:
    torch.manual_seed(0)
    backbone, kind = Convnet(), Images()
    model = backbone.build(["a", "b"], kind)
    before = {name: held.clone() for name, held in body(backbone, model).items()}
    assert set(model.state_dict()) - set(before) == {"classifier.weight", "classifier.bias"}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
        model.blocks[0][1].num_batches_tracked.add_(7)  # type: ignore[index, union-attr]
    head = final_linear(model).weight.clone()
    average(backbone, model, before, share=0.25)
    weight = model.state_dict()["blocks.0.0.weight"]
    torch.testing.assert_close(weight, before["blocks.0.0.weight"] + 0.25)
    torch.testing.assert_close(final_linear(model).weight, head)
    assert model.state_dict()["blocks.0.1.num_batches_tracked"] == 7, "a count has no half"


@pytest.mark.parametrize("labels", ["[5,6]", "[5,6,7,8,9]"])
def test_a_head_starts_as_the_logistic_regression_of_its_features(labels: str) -> None:
    experiment = of_overrides(
        ["experiment=digits", f"target.labels={labels}", "target.labels_per_class=6"]
    )
    target = task.load(experiment.target, seed=1)
    encoded = EncodedTask.of(target, experiment.student, experiment.device)
    torch.manual_seed(1)
    loaded = encoded.load(experiment.student.build(target.labels, experiment.target))
    regress_head(loaded, encoded, seed=1)

    rows = target.labelled
    (read,) = inference.batches(loaded, encoded.splits["train"].select(np.asarray(rows)))
    assert read.features is not None
    order = np.argsort(read.examples)
    features = read.features[order].astype(np.float64)
    centred = features - features.mean(axis=0)
    gold = target.train.labels.values[rows]
    fitted = LogisticRegression(C=0.1, max_iter=1000).fit(centred / centred.std(), gold)
    logits = torch.from_numpy(read.logits[order])
    np.testing.assert_allclose(
        torch.softmax(logits, dim=1).numpy(),
        fitted.predict_proba(centred / centred.std()),
        atol=2e-4,
    )


def test_a_head_may_end_as_a_regression_too(
    ctkd: Callable[..., tuple[int, str, str]], tiny_run: list[str], tmp_path: Path
) -> None:
    """Of the same body."""
    saved = {}
    for end in ("trained", "regression"):
        run = tmp_path / end
        code, _, err = ctkd("run", *tiny_run, f"student.head_end={end}", f"hydra.run.dir={run}")
        assert code == 0, err
        saved[end] = load_file(run / "student" / "model.safetensors")
    head = [name for name in saved["trained"] if name.startswith("classifier")]
    assert head
    for name, weight in saved["trained"].items():
        assert torch.equal(weight, saved["regression"][name]) is (name not in head), name
