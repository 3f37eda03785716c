"""metrics.json: every figure under a flat key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.evaluation.verdict import Verdict


def flat_metrics(results: Results, verdict: Verdict) -> dict[str, float]:
    """`ARM/metric`, means over the run's seeds, `ARM/seed=S/metric`, and `gain/...`: the distilled
    student minus the best control; `labels/...`: labels of the target task that were spent.

    Metrics are of the test split but for `validation_...`, which are absent without one."""
    flat: dict[str, float] = {}
    for arm, seeds in results.scores.items():
        for metric in next(iter(seeds.values())):
            flat[f"{arm}/{metric}"] = results.mean(arm, metric)
        for seed, scores in seeds.items():
            flat |= {f"{arm}/seed={seed}/{metric}": value for metric, value in scores.items()}
    for metric in ("macro_f1", "accuracy"):
        flat[f"gain/{metric}"] = flat[f"distilled/{metric}"] - flat[f"{verdict.control}/{metric}"]
    target = results.facts("target")
    for part in ("train", "validation"):
        flat[f"labels/{part}"] = sum(target["counts"][part].values())
    flat["labels/classes"] = len(target["labels"])
    flat["gain/macro_f1_low"] = verdict.gain.low
    flat["gain/macro_f1_high"] = verdict.gain.high
    return flat
