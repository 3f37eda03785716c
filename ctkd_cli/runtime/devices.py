"""From the device settings to torch."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

from pydantic import Field

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime import parallel
from ctkd_cli.runtime.lazy import torch
from ctkd_cli.settings.component import Frozen, Positive


class Device(Frozen):
    """Where and in which precision models run."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "fp32", description="auto: bf16 where the hardware multiplies in it, else fp32"
    )
    threads: Positive | None = Field(None, description="CPU threads; default: torch's choice")


def resolve(device: Device) -> torch.device:
    """The torch device of the settings. Raises InputError when it is not there."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    wanted: str = device.accelerator
    if wanted == "auto":
        wanted = next(name for name, there in present.items() if there)
    if not present[wanted]:
        raise InputError(
            Problem(
                f"there is no {wanted} device on this machine",
                where="device.accelerator",
                got=wanted,
                allowed=", ".join(name for name, there in present.items() if there),
                remedy="device=auto",
            )
        )
    if wanted == "cuda" and parallel.world() > 1:
        return torch.device("cuda", parallel.local_rank())
    return torch.device(wanted)


def precision(device: Device) -> Literal["fp32", "bf16"]:
    """The precision of the settings; `auto` is bf16 where the hardware multiplies in it."""
    if device.precision != "auto":
        return device.precision
    return "bf16" if multiplies_in_bf16(device) else "fp32"


def quicker(device: Device) -> str:
    """The setting by which the hardware would be quicker; "" where there is none."""
    slow = device.precision == "fp32" and multiplies_in_bf16(device)
    return "device.precision=auto" if slow else ""


def multiplies_in_bf16(device: Device) -> bool:
    """Whether the hardware does, rather than to emulate it."""
    if resolve(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def autocast(device: Device, where: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Mixed precision when the settings ask for it."""
    if precision(device) == "bf16":
        return torch.autocast(where.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def set_threads(device: Device) -> None:
    """CPU threads, where the settings name a number."""
    if device.threads is not None:
        torch.set_num_threads(device.threads)
