"""What a run ran on: versions, code, hardware. Of the variables of the environment only those that
decide how numbers are rounded (variables.py)."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import ctkd_cli
from ctkd_cli.cache import file_hash
from ctkd_cli.runtime import variables

# What decides an arm's weights and answers, given its settings and what was read: a change there
# trains it again. The others read inputs (whose hashes are in an arm's key), keep, show and tell.
COMPUTES = (
    *(f"{room}/**/*.py" for room in ("arms", "backbones", "distillation", "tasks", "training")),
    *("evaluation/metrics.py", "evaluation/falling.py"),
    *("runtime/devices.py", "runtime/parallel.py"),
)
TELLS = ("arms/efficiency.py", "arms/record.py")


def describe() -> dict[str, Any]:
    """Plain data for environment.json."""
    import torch

    return {
        "ctkd": ctkd_cli.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hardware": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_gib": _memory_gib(),
            "gpus": [
                torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
            ],
            "torch_threads": torch.get_num_threads(),
        },
        "variables": variables.recorded(),
        "packages": _packages(),
    }


def code_hash(*parts: object) -> str:
    """Hash of all that computes an arm: ctkd's own source, the modules of parts that come from
    elsewhere, and the versions of the libraries that do the arithmetic."""
    root = Path(ctkd_cli.__file__).parent
    own = (file for each in COMPUTES for file in root.glob(each))
    files = {file.relative_to(root).as_posix(): file for file in own}
    hashes = {name: file_hash.sha256(f) for name, f in files.items() if name not in TELLS}
    for part in parts:
        hashes |= file_hash.of_code_elsewhere(part)
    digest = hashlib.sha256()
    for name, found in sorted(hashes.items()):
        digest.update(name.encode() + b"\0" + bytes.fromhex(found))
    for package in ("torch", "transformers", "numpy", "scipy", "scikit-learn"):
        digest.update(version(package).encode())
    return digest.hexdigest()


@cache
def _packages() -> dict[str, str]:
    return dict(sorted((dist.metadata["Name"], dist.version) for dist in distributions()))


@cache
def _git_commit() -> str | None:
    """The commit of a checkout of ctkd, marked when it was changed; None in an installed wheel."""
    root = Path(ctkd_cli.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit} (changed)" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _cpu_model() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
