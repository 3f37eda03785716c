"""Masks beside the binomial distribution, attention beside PyTorch's own and formulas by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from ctkd_cli.training import cpu_kernels

CPU = torch.device("cpu")
SHAPE = (2, 4, 7, 8)  # batch, heads, positions, d


def mask(p: float, *shape: int, seed: int = 0, **how: Any) -> torch.Tensor:
    torch.manual_seed(seed)
    with cpu_kernels.replaced(CPU):
        return torch.empty(shape, **how).bernoulli_(p)


def by_torch(p: float, *shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.empty(shape).bernoulli_(p)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.999])
def test_as_many_ones_as_the_binomial_distribution_has(p: float) -> None:
    """In all, in every lane of a drawn number, and in pairs at any small distance."""
    n = 3 * cpu_kernels.CHUNK + 5
    ones = mask(p, n).numpy() == 1
    assert stats.binomtest(int(ones.sum()), n, p).pvalue > 1e-3
    for lane in range(cpu_kernels.LANES):
        found = ones[lane :: cpu_kernels.LANES]
        assert stats.binomtest(int(found.sum()), len(found), p).pvalue > 1e-3
    for distance in (1, 2, 3, 4, 5, cpu_kernels.CHUNK):
        both = ones[distance::2] & ones[:-distance:2]
        assert stats.binomtest(int(both[::3].sum()), len(both[::3]), p**2).pvalue > 1e-3


def test_the_seed_decides_the_mask_and_threads_do_not() -> None:
    shape = (3, cpu_kernels.CHUNK // 2)
    first, again, other = mask(0.5, *shape), mask(0.5, *shape), mask(0.5, *shape, seed=1)
    assert torch.equal(first, again)
    assert 0.49 < (first == other).float().mean() < 0.51
    for threads in (1, 3):
        torch.manual_seed(0)
        with ThreadPoolExecutor(threads) as pool:
            drawn = cpu_kernels.bernoulli_(torch.empty(shape), 0.5, None, pool)
        assert torch.equal(drawn, first)


def test_nothing_is_replaced_for_a_model_on_a_gpu() -> None:
    torch.manual_seed(0)
    with cpu_kernels.replaced(torch.device("cuda")):
        drawn = torch.empty(100).bernoulli_(0.5)
    assert torch.equal(drawn, by_torch(0.5, 100))
    assert not torch.equal(mask(0.5, 100), drawn)


def test_two_draws_differ_and_a_state_brings_one_back() -> None:
    """As a checkpoint does, which keeps the state of torch's generator."""
    with cpu_kernels.replaced(CPU):
        torch.empty(10).bernoulli_(0.5)
        state = torch.get_rng_state()
        first, second = (torch.empty(100).bernoulli_(0.5) for _ in range(2))
        torch.set_rng_state(state)
        again = torch.empty(100).bernoulli_(0.5)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_any_type_and_layout() -> None:
    expected = mask(0.5, 6, 5)
    for dtype in (torch.bool, torch.bfloat16, torch.float64, torch.int64):
        assert torch.equal(mask(0.5, 6, 5, dtype=dtype), expected.to(dtype))
    torch.manual_seed(0)
    with cpu_kernels.replaced(CPU):
        turned = torch.empty(5, 6).t().bernoulli_(0.5)
    assert torch.equal(turned, expected)
    assert mask(0.5, 0).shape == (0,)
    assert mask(0.5).shape == ()


def test_the_ends_of_probability() -> None:
    assert mask(0.0, 1000).sum() == 0
    assert mask(1.0, 1000).sum() == 1000
    for p in (-0.1, 1 + 1e-6, float("nan")):
        with pytest.raises(RuntimeError, match=r"expects p to be in \[0, 1\]"):
            mask(p, 3)


def test_dropout_keeps_the_mean() -> None:
    torch.manual_seed(0)
    with cpu_kernels.replaced(CPU):
        dropped = functional.dropout(torch.ones(1_000_000), 0.1)
    assert torch.equal(dropped != 0, mask(0.9, 1_000_000).bool())
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.9])
    assert dropped.mean().item() == pytest.approx(1, abs=4 * np.sqrt(0.1 / 0.9 / 1e6))


def test_afterwards_torch_draws_and_attends_by_itself_again() -> None:
    before = by_torch(0.5, 1000)
    with cpu_kernels.replaced(CPU):
        assert not torch.equal(by_torch(0.5, 1000), before)
    with pytest.raises(RuntimeError, match="expects p"), cpu_kernels.replaced(CPU):
        torch.empty(3).bernoulli_(2)
    assert torch.equal(by_torch(0.5, 1000), before)


def tensors(keys: int = 4) -> list[torch.Tensor]:
    """Query, key and value; the last two with so many heads."""
    torch.manual_seed(0)
    shapes = (SHAPE, (2, keys, 7, 8), (2, keys, 7, 8))
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def assert_same_gradients(
    found: torch.Tensor, expected: torch.Tensor, inputs: list[torch.Tensor]
) -> None:
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": torch.arange(7) < torch.tensor([5, 7]).view(2, 1, 1, 1)},
        {"attn_mask": torch.linspace(-3, 3, 98, dtype=torch.float64).view(2, 1, 7, 7)},
        {"enable_gqa": True},
    ],
    ids=["plain", "scale", "causal", "boolean mask", "float mask", "grouped queries"],
)
def test_attention_is_what_torch_has(how: dict[str, Any]) -> None:
    """Values and gradients; with nothing dropped, PyTorch's other kernels serve as reference."""
    inputs = tensors(keys=2 if "enable_gqa" in how else 4)
    expected = functional.scaled_dot_product_attention(*inputs, **how)
    found, weights = cpu_kernels.attention(*inputs, **how)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(weights.sum(-1), torch.ones(SHAPE[:3], dtype=torch.float64))
    assert_same_gradients(found, expected, inputs)


def test_attention_with_dropout_by_hand() -> None:
    """Through torch's own function, as models call it: weights are dropped, then values summed."""
    query, key, value = inputs = tensors()
    weights = torch.softmax(query @ key.transpose(-2, -1) / np.sqrt(8), -1)
    kept = mask(0.7, *weights.shape)
    expected = (weights * kept / 0.7) @ value
    torch.manual_seed(0)
    with cpu_kernels.replaced(CPU):
        found = functional.scaled_dot_product_attention(query, key, value, dropout_p=0.3)
    given, _ = cpu_kernels.attention(query, key, value, None, 0.3, dropout_mask=kept)
    for each in (found, given):
        torch.testing.assert_close(each, expected)
        assert_same_gradients(each, expected, inputs)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float64, torch.float32])
def test_a_query_without_any_key_gets_zeros(dtype: torch.dtype) -> None:
    """Padding on the left of a causal model: such a row is NaN in a plain softmax."""
    inputs = tensors()
    open_ = torch.ones(7, 7, dtype=torch.bool).tril()
    open_[:, :2] = False
    shut = torch.zeros(7, 7).masked_fill(~open_, float("-inf"))
    found, _ = cpu_kernels.attention(*inputs, open_ if dtype == torch.bool else shut.to(dtype))
    expected = functional.scaled_dot_product_attention(*inputs, open_)
    torch.testing.assert_close(found, expected)
    assert not found[:, :, :2].any()
    assert_same_gradients(found, expected, inputs)


def test_bf16_stays_bf16_and_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under autocast, as a run with device.precision=bf16 has it; beside fp64, with dropout."""
    query, key, value = tensors()
    weights = torch.softmax(query @ key.transpose(-2, -1) / np.sqrt(8), -1)
    expected = (weights * mask(0.7, *weights.shape) / 0.7) @ value
    types = []

    def spy(*given: Any, **how: Any) -> Any:
        found = attention(*given, **how)
        types.append([each.dtype for each in found])
        return found

    attention = cpu_kernels.attention
    monkeypatch.setattr(cpu_kernels, "attention", spy)
    torch.manual_seed(0)
    with cpu_kernels.replaced(CPU), torch.autocast("cpu", torch.bfloat16):
        found = functional.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), dropout_p=0.3
        )
    assert types == [[torch.bfloat16, torch.bfloat16]]
    torch.testing.assert_close(found.double(), expected, atol=0.03, rtol=0.03)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "gpt2", "qwen2", "t5"])
def test_models_of_transformers_attend_as_they_did(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they hand over: masks of padding, a causal order, grouped queries, biases."""
    from transformers import AutoConfig, AutoModel

    small: dict[str, Any] = {
        "bert": {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8},
        "distilbert": {"dim": 8, "n_heads": 2, "hidden_dim": 8},
        "gpt2": {"n_embd": 8, "n_head": 2},
        "qwen2": {
            "hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
            "intermediate_size": 8,
        },
        "t5": {"d_model": 8, "d_kv": 4, "num_heads": 2, "d_ff": 8},
    }[architecture]  # fmt: skip
    layers = {"num_hidden_layers": 2, "n_layers": 2, "n_layer": 2, "num_layers": 2}
    config = AutoConfig.for_model(architecture, vocab_size=20, **small, **layers)
    torch.manual_seed(0)
    model = AutoModel.from_config(config, attn_implementation="sdpa").train()
    for module in model.modules():  # attention is asked for dropout, and drops next to nothing
        for name, value in list(vars(module).items()):
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 1e-9)
        if isinstance(module, torch.nn.Dropout):
            module.p = 1e-9
    lengths = torch.tensor([[6], [4]])
    inputs = {
        "input_ids": torch.arange(12).view(2, 6),
        "attention_mask": (torch.arange(6) < lengths).long(),
    }
    if architecture == "t5":
        inputs["decoder_input_ids"] = torch.arange(8).view(2, 4)
    expected = model(**inputs)[0]
    spy = mock.Mock(wraps=cpu_kernels.attention)
    monkeypatch.setattr(cpu_kernels, "attention", spy)
    with cpu_kernels.replaced(CPU):
        found = model(**inputs)[0]
    assert spy.call_count >= 2  # one in each layer
    real = inputs["attention_mask"].bool() if architecture != "t5" else torch.ones(2, 4).bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)
