"""Data parallel: several processes, started by torchrun, that train one student together.

Each process follows the same story. A batch is split between them; its outputs are gathered before
the loss, so that every loss, also one that compares the examples of a batch, sees the batch that
one process would see, and the gradients are the same up to rounding. Only the first process
writes to the run directory and the cache, which all must be able to read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from ctkd_cli.errors import Problem
from ctkd_cli.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # all, or none

_alone = False


def half_set() -> Problem | None:
    """What is wrong with the variables by which torchrun tells a process of the others; None when
    it has set them all, or none."""
    given = {name: os.environ[name] for name in TORCHRUN if os.environ.get(name)}
    told = [name for name in TORCHRUN[:3] if name in given]
    if not told or given == {"WORLD_SIZE": "1"}:
        return None
    numbers = {name: int(given[name]) for name in told if given[name].isdecimal()}
    if len(given) == len(TORCHRUN) and len(numbers) == len(told):
        world, own, local = (numbers[name] for name in TORCHRUN[:3])
        if max(own, local) < world:
            return None
    return Problem(
        "some of torchrun's variables are set and others are not, or they do not fit",
        where="environment",
        got=", ".join(f"{name}={value}" for name, value in given.items()),
        allowed=f"all of {', '.join(TORCHRUN)}, as torchrun sets them, or none",
        remedy=f"unset {' '.join(given)}; or, for several processes, "
        "torchrun --nproc-per-node 2 -m ctkd_cli run ...",
    )


def world() -> int:
    """How many processes there are."""
    return 1 if _alone else int(os.environ.get("WORLD_SIZE") or 1)


@contextmanager
def alone() -> Iterator[None]:
    """What happens in here happens in this process only: nothing waits for the others."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def rank() -> int:
    return int(os.environ.get("RANK") or 0)


def local_rank() -> int:
    """This process's number on its machine: that of its GPU."""
    return int(os.environ.get("LOCAL_RANK") or 0)


def is_main() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


def share(value: T) -> T:
    """The first process's value, in all. Waits until all are here."""
    if world() == 1:
        return value
    start()
    holder = [value]
    torch.distributed.broadcast_object_list(holder, src=0)
    return holder[0]


def gather(value: T) -> list[T]:
    """The values of all processes, in all."""
    if world() == 1:
        return [value]
    start()
    found: list[Any] = [None] * world()
    torch.distributed.all_gather_object(found, value)
    return found


def share_weights(model: nn.Module) -> None:
    """Give all processes the first one's weights."""
    if world() > 1:
        for tensor in (*model.parameters(), *model.buffers()):
            torch.distributed.broadcast(tensor.data, src=0)


def mean(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Means over the processes."""
    if world() == 1:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    torch.distributed.all_reduce(flat)
    parts = torch.split(flat / world(), [tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def own_rows(rows: Sequence[int]) -> Sequence[int]:
    """This process's part of a batch; a process that is left without one takes the first row,
    whose outputs `whole` drops."""
    if world() == 1:
        return rows
    bounds = _bounds(len(rows))
    return rows[bounds[rank()] : bounds[rank() + 1]] or rows[:1]


def shares(counts: Sequence[int] | None, n: int) -> list[int]:
    """Where each process's outputs of a batch of n rows begin, and how many there are. counts: the
    outputs that each row has; None: one."""
    bounds = _bounds(n)
    return bounds if counts is None else [sum(counts[:bound]) for bound in bounds]


def whole(own: Tensor, bounds: Sequence[int]) -> Tensor:
    """The outputs of a batch, [S, ...], of those of each process's own rows; bounds: `shares`.

    Each process computes the same loss of them. The gradient of an own part is multiplied by the
    number of processes, since DistributedDataParallel divides by it.
    """
    if world() == 1:
        return own
    gathered: Tensor = _whole()(own, bounds)
    return gathered


@cache
def _whole() -> Any:
    """The autograd function behind `whole`; its class needs torch."""

    class Whole(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, own: Tensor, bounds: Sequence[int]) -> Tensor:
            sizes = [end - start for start, end in pairwise(bounds)]
            ctx.shape, ctx.start, ctx.size = own.shape, bounds[rank()], sizes[rank()]
            padded = own.new_zeros((max(sizes), *own.shape[1:]))
            padded[: ctx.size] = own[: ctx.size]
            parts = [torch.empty_like(padded) for _ in sizes]
            torch.distributed.all_gather(parts, padded)
            return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
            own = gradient.new_zeros(ctx.shape)
            own[: ctx.size] = world() * gradient[ctx.start : ctx.start + ctx.size]
            return own, None

    return Whole.apply


def _bounds(n: int) -> list[int]:
    """Where each process's part of n rows begins, and n."""
    return [n * part // world() for part in range(world() + 1)]


def quiet() -> None:
    """Before torch is imported: no warnings of its C++ side, one per process and training."""
    if world() > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def start() -> None:
    """Make the processes known to each other. Does nothing where there is one."""
    if world() > 1 and not torch.distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend)
