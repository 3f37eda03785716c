"""Mean-pooled embeddings of a model's body, beside those that are worked out one text at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import save_tiny
from test_architectures import CUT, WHOLE, configuration

from ctkd_cli.backbones.convnet import Convnet
from ctkd_cli.backbones.huggingface import Huggingface
from ctkd_cli.tasks.kinds.base import Batch
from ctkd_cli.tasks.kinds.images import Images
from ctkd_cli.tasks.kinds.text import Text

TEXTS = ["the goal", "the film of the band and the music in the chart", "net"]
EVERY = {**{name: values for name, (values, _) in CUT.items()}, "Bart": WHOLE["Bart"][0],
         "T5": WHOLE["T5"][0], "Funnel": WHOLE["Funnel"][0]}  # fmt: skip
# What these make of a text depends on how far it is padded, by mixing over places or by halves; or
# a classifier asks its body in another way than one would: Longformer attends to [CLS] globally.
OTHERWISE = ("ConvBert", "FNet", "Funnel", "Longformer")


@pytest.mark.parametrize("name", EVERY)
def test_it_is_the_mean_over_real_tokens(name: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, configuration(name, EVERY[name]))
    backbone = Huggingface(model=str(folder))
    torch.manual_seed(1)
    model = backbone.build(["a", "b"], Text()).eval()
    tokenizer = backbone.preprocessor()

    def batch(texts: list[str]) -> Batch:
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        return Batch({key: tokens[key] for key in ("input_ids", "attention_mask")})

    with torch.no_grad():
        found = backbone.embed(model, batch(TEXTS))
        assert found.shape[0] == len(TEXTS)
        if name in OTHERWISE:
            assert torch.isfinite(found).all()
            return
        for text, embedding in zip(TEXTS, found, strict=True):
            inputs = dict(batch([text]).inputs)
            body = model.base_model
            if model.config.is_encoder_decoder:
                body = body.get_encoder()
            hidden = body(**inputs).last_hidden_state[0]  # no padding
            torch.testing.assert_close(embedding, hidden.mean(dim=0), rtol=1e-3, atol=1e-4)


def test_named_positions_have_a_state_each(tiny_bert: Path) -> None:
    backbone = Huggingface(model=str(tiny_bert))
    model = backbone.build(["a", "b"], Text()).eval()
    tokens = backbone.preprocessor()(TEXTS[:2], padding=True, return_tensors="pt")
    where = torch.tensor([1, 2, tokens["input_ids"].shape[1] + 1])
    with torch.no_grad():
        found = backbone.embed(model, Batch(dict(tokens), where))
        states = model.base_model(**tokens).last_hidden_state
    torch.testing.assert_close(found, torch.stack([states[0, 1], states[0, 2], states[1, 1]]))


def test_a_gradient_reaches_the_body(tiny_bert: Path) -> None:
    backbone = Huggingface(model=str(tiny_bert))
    model = backbone.build(["a", "b"], Text()).eval()
    tokens = backbone.preprocessor()(TEXTS, padding=True, return_tensors="pt")
    backbone.embed(model, Batch(dict(tokens))).sum().backward()
    assert next(model.base_model.parameters()).grad is not None


def test_of_pixels_it_is_what_the_head_reads() -> None:
    model = Convnet().build(["a", "b"], Images()).eval()
    pixels = Batch({"pixel_values": torch.rand(3, 1, 8, 8)})
    with torch.no_grad():
        outputs = Convnet().forward(model, pixels)
        torch.testing.assert_close(Convnet().embed(model, pixels), outputs.features)
