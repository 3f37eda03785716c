"""Sweeps made by hand, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def job(
    folder: Path, number: int, overrides: list[str], figures: tuple[float, float] | None,
    reason: str = "", validation: float | None = None, likelihood: float | None = None,
    **status: Any,
) -> None:  # fmt: skip
    """What a job leaves: figures are macro-F1 of alone and distilled; None when it failed."""
    directory = folder / str(number)
    directory.mkdir()
    found = {"status": "complete" if figures else "failed", "reason": reason, **status}
    (directory / "status.json").write_text(json.dumps(found))
    (directory / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    if figures:
        alone, distilled = figures
        metrics = {
            "alone/macro_f1": alone, "distilled/macro_f1": distilled,
            "gain/macro_f1": distilled - alone, "distilled/accuracy": 0.9,
        }  # fmt: skip
        if validation is not None:
            metrics["distilled/validation_macro_f1"] = validation
        if likelihood is not None:
            metrics["distilled/cross_validated_log_likelihood"] = likelihood
        (directory / "metrics.json").write_text(json.dumps(metrics))


def scored(
    folder: Path, number: int, overrides: list[str], alone: Sequence[float],
    distilled: Sequence[float], labels: int = 8, validation: float | None = None, seed: int = 1,
) -> None:  # fmt: skip
    """A job of several seeds with two classes."""
    means = (sum(alone) / len(alone), sum(distilled) / len(distilled))
    job(folder, number, overrides, means, validation=validation)
    file = folder / str(number) / "metrics.json"
    metrics = json.loads(file.read_text())
    for arm, values in (("alone", alone), ("distilled", distilled)):
        metrics |= {f"{arm}/seed={seed}/macro_f1": v for seed, v in enumerate(values, seed)}
    spent = {"labels/train": labels, "labels/validation": 0, "labels/classes": 2}
    interval = {"gain/macro_f1_low": 0.01, "gain/macro_f1_high": 0.2}
    file.write_text(json.dumps({**metrics, **spent, **interval}))


def asked(folder: Path, jobs: list[list[str]], overrides: Sequence[str] = ()) -> None:
    """sweep.yaml."""
    found = {"overrides": list(overrides), "config_dir": None, "jobs": jobs}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(found))
