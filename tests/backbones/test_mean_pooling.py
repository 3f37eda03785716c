"""A head on the mean of the hidden states: its arithmetic, and that it comes back from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from ctkd_cli.errors import InputError
from ctkd_cli.experiment import Experiment, of_overrides
from ctkd_cli.tasks.kinds.base import Batch

LABELS = ("sport", "tech", "other")


def experiment(*overrides: str) -> Experiment:
    return of_overrides(["student.layers=[0]", *overrides])


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Two texts, the second padded."""
    return {
        "input_ids": torch.tensor([[101, 7592, 2088, 102], [101, 7592, 102, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    }


def test_the_head_reads_the_mean_over_real_tokens(batch: dict[str, torch.Tensor]) -> None:
    student = experiment().student
    model: Any = student.build(LABELS, experiment().target).eval()
    with torch.no_grad():
        outputs = student.forward(model, Batch(batch))
        hidden = model.body(**batch).last_hidden_state
    assert outputs.features is not None
    expected = torch.stack([hidden[0].mean(dim=0), hidden[1, :3].mean(dim=0)])
    torch.testing.assert_close(outputs.features, expected)
    torch.testing.assert_close(outputs.logits, model.classifier(expected))


def test_padding_changes_no_answer(batch: dict[str, torch.Tensor]) -> None:
    model: Any = experiment().student.build(LABELS, experiment().target).eval()
    alone = {name: tensor[1:, :3] for name, tensor in batch.items()}
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits[1:], model(**alone).logits)


def test_it_comes_back_with_and_without_us(tmp_path: Path, batch: dict[str, torch.Tensor]) -> None:
    student = experiment().student
    model: Any = student.build(LABELS, experiment().target).eval()
    model.save_pretrained(tmp_path)
    ours = student.load_trained(tmp_path).eval()
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path, trust_remote_code=True
    ).eval()
    assert ours.config.id2label == {0: "sport", 1: "tech", 2: "other"}
    assert "/" not in str(ours.config.body), "no path of this machine travels with it"
    with torch.no_grad():
        for each in (ours, theirs):
            torch.testing.assert_close(each(**batch).logits, model(**batch).logits)


def test_a_student_is_a_model_for_the_next(tmp_path: Path, batch: dict[str, torch.Tensor]) -> None:
    """As a teacher, cut again, with a new head: the body's weights are the first one's."""
    whole = of_overrides(["student.layers=[0,3]"])
    first: Any = whole.student.build(LABELS, whole.target).eval()
    first.save_pretrained(tmp_path)
    whole.student.preprocessor().save_pretrained(tmp_path)
    next_one = of_overrides([f"student.model={tmp_path}", "student.layers=[1]"])
    next_one.student.require_sound()
    next_one.student.require_fitting(next_one.target)
    assert next_one.student.size().parameters < whole.student.size().parameters
    second: Any = next_one.student.build(("a", "b"), next_one.target)
    assert second.classifier.out_features == 2
    assert second.config.num_hidden_layers == len(second.body.encoder.layer) == 1
    kept, own = first.body.encoder.layer[1], second.body.encoder.layer[0]
    torch.testing.assert_close(own.output.dense.weight, kept.output.dense.weight)


def test_the_size_is_that_of_the_model() -> None:
    student = experiment().student
    model = student.build(LABELS, experiment().target)
    assert student.size().parameters == pytest.approx(model.num_parameters(), rel=0.02)


def test_models_with_a_decoder_are_refused(tmp_path: Path) -> None:
    config = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    config.save_pretrained(tmp_path)
    student = experiment("student.weights=random", "student.layers=null").student
    with pytest.raises(InputError, match="decoder"):
        student._load(config, experiment().target)  # type: ignore[attr-defined]
