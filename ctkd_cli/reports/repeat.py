"""A run that repeats another: what differs between the two, and whether it mattered."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ctkd_cli.runs.rundir import metrics_of
from ctkd_cli.settings.plain_data import leaves

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results

SHOWN = 20  # packages, settings


def in_words(before: Results, after: Results) -> list[str]:
    """Line by line, what differs between two complete runs: settings, versions, data, figures."""
    lines = [
        *_changes("setting", _settings(before), _settings(after)),
        *_changes("", _machine(before), _machine(after)),
        *_changes("package", _packages(before), _packages(after)),
        *_changes("data of", _data(before), _data(after)),
    ]
    lines = lines or ["settings, versions, machine and data: the same"]
    name = "predictions.parquet"
    same = filecmp.cmp(before.directory / name, after.directory / name, shallow=False)
    lines.append(f"predictions: {'the same, byte for byte' if same else 'not the same'}")
    lines += _changes("figure", _figures(before), _figures(after))
    if taken := _taken_from_the_cache(after):
        lines.append(
            f"{taken} stages were taken from the cache; reuse=false trains the arms anew, and an "
            "empty CTKD_CACHE everything"
        )
    return lines


def _changes(sort: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    keys = [k for k in dict.fromkeys([*before, *after]) if before.get(k) != after.get(k)]
    for key in keys[:SHOWN]:
        was, is_ = (str(side.get(key, "absent")) for side in (before, after))
        yield f"{sort} {key}: {was} before, {is_} now".strip()
    if len(keys) > SHOWN:
        yield f"{len(keys) - SHOWN} {sort}s more differ"


def _settings(run: Results) -> dict[str, Any]:
    return dict(leaves(run.config))


def _machine(run: Results) -> dict[str, Any]:
    """What it ran on, and the models that it began with."""
    kept = ("ctkd", "git_commit", "python", "platform", "hardware", "variables", "backbones")
    return dict(leaves({key: run.environment.get(key) for key in kept}))


def _packages(run: Results) -> dict[str, Any]:
    found: dict[str, Any] = run.environment.get("packages", {})
    return found


def _data(run: Results) -> dict[str, Any]:
    """The hash of each task's splits, by its name."""
    facts = (event for event in run.events if event.get("event") == "facts")
    return {fact.get("name", fact["role"]): fact.get("fingerprint") for fact in facts}


def _figures(run: Results) -> dict[str, Any]:
    metrics = metrics_of(run.directory)
    judged = [f"{what}/{run.metric.name}" for what in ("alone", "distilled", "gain")]
    names = (*judged, "distilled/accuracy")
    return {name: round(metrics[name], 4) for name in names if name in metrics}


def _taken_from_the_cache(run: Results) -> int:
    return sum(event.get("event") == "reused" for event in run.events)
