"""Two kernels of PyTorch that keep a CPU waiting, replaced while a model trains.

A third of a training with dropout, as BERT and its kin are trained, goes by beside the matrix
products: PyTorch draws dropout masks number by number on one core (its issue 138199), and attention
with dropout takes a path that widens bf16 to fp32, copies, and passes over its weights twice more.
docs/benchmarks.md has what the replacements bring. They know nothing of models: whatever draws a
mask or attends with dropout on a CPU has them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 2**16  # a mask's probabilities are multiples of 1/LEVELS
CHUNK = 2**18  # elements drawn at once: their bits fit into a core's cache
LANES = 4  # elements of 16 bits in a drawn number of 64


@contextmanager
def replaced(where: torch.device) -> Iterator[None]:
    """Within it the CPU draws masks and attends by the functions below, in the whole process. Does
    nothing for a model that is elsewhere."""
    if where.type != "cpu":
        yield
        return
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:

        def draw(
            tensor: Tensor, p: float = 0.5, *, generator: torch.Generator | None = None
        ) -> Tensor:
            return bernoulli_(tensor, p, generator, pool)

        try:
            with warnings.catch_warnings(action="ignore"):  # that a kernel is replaced: so it is
                library.impl("bernoulli_.float", draw, "CPU")
                library.impl("_scaled_dot_product_attention_math", attention, "AutogradCPU")
            yield
        finally:
            library._destroy()


def bernoulli_(
    tensor: Tensor, p: float, generator: torch.Generator | None, pool: ThreadPoolExecutor
) -> Tensor:
    """Fill a tensor of any shape and type with ones, each with probability p, and zeros elsewhere.

    p is rounded to a multiple of 2**-16. One number of torch's generator seeds the draw, so that
    `torch.manual_seed` and a checkpoint's state of it decide the mask, the number of threads does
    not. Bits are of PCG64 DXSM (O'Neill, 2014), 16 for each element. Raises RuntimeError, as
    PyTorch's own does, unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    threshold = round(p * LEVELS) - LEVELS // 2
    if threshold == LEVELS // 2:
        return tensor.fill_(1)
    drawn = tensor if tensor.is_contiguous() else torch.empty(tensor.shape, dtype=tensor.dtype)
    pieces = torch.split(drawn.view(-1), CHUNK)
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    each = pool.map if len(pieces) > 1 else map
    jobs = ((seed, number, len(piece)) for number, piece in enumerate(pieces))
    for piece, bits in zip(pieces, each(_bits, jobs), strict=True):
        torch.lt(bits, threshold, out=piece)
    return tensor if drawn is tensor else tensor.copy_(drawn)


def _bits(job: tuple[int, int, int]) -> Tensor:
    """Random numbers between -2**15 and 2**15 - 1; of one chunk."""
    seed, number, size = job
    drawn = np.random.PCG64DXSM([seed, number]).random_raw(-(-size // LANES))
    return torch.from_numpy(drawn.view(np.int16)[:size])


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    dropout_mask: Tensor | None = None,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention (Vaswani et al., 2017) in the type of what comes in.

    query (..., heads, queries, d), key (..., heads, keys, d) and value (..., heads, keys, e), fp32
    or bf16: what is attended to, (..., heads, queries, e), and the weights before dropout
    (..., heads, queries, keys). A query that may attend to nothing gets zeros. In bf16 the scores
    are rounded to it, which makes an error of 0.4 to 0.8 % where PyTorch has 0.2 %.
    """
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-2, -1)
    lowest = torch.finfo(scores.dtype).min
    shut = None  # queries without any key
    if is_causal:
        scores.masked_fill_(scores.new_ones(scores.shape[-2:]).triu(1).bool(), lowest)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores.masked_fill_(~attn_mask, lowest)
        shut = ~attn_mask.any(-1, keepdim=True)
    elif attn_mask is not None:
        scores.add_(attn_mask.to(scores.dtype).clamp_min(lowest))
        shut = attn_mask.isneginf().all(-1, keepdim=True)
    weights = scores.softmax(-1)
    if dropout_mask is None:
        kept = functional.dropout(weights, dropout_p)
    else:
        kept = weights * dropout_mask.to(weights.dtype) / (1 - dropout_p)
    attended = kept @ value
    if shut is not None and shut.any():
        attended = attended.masked_fill(shut, 0)
    return attended, weights
