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
        first, *others = seeds.values()
        for name in first:
            if all(name in scores for scores in others):  # not every seed has a temperature
                flat[f"{arm}/{name}"] = results.mean(arm, name)
        for seed, scores in seeds.items():
            flat |= {f"{arm}/seed={seed}/{name}": value for name, value in scores.items()}
    metric = results.metric
    distilled, control = (
        {name: flat[f"{arm}/{name}"] for name in (metric.name, "accuracy")}
        for arm in ("distilled", verdict.control)
    )
    flat["gain/accuracy"] = distilled["accuracy"] - control["accuracy"]
    flat[f"gain/{metric.name}"] = metric.gain(distilled[metric.name], control[metric.name])
    target = results.facts("target")
    for part in ("train", "validation"):
        flat[f"labels/{part}"] = sum(target["counts"][part].values())
    flat["labels/classes"] = len(target["labels"])
    flat[f"gain/{metric.name}_low"] = verdict.gain.low
    flat[f"gain/{metric.name}_high"] = verdict.gain.high
    return flat
