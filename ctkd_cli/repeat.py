"""A run that repeats another: what differs between the two, and whether it mattered."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ctkd_cli.provenance import leaves

FIGURES = ("alone/macro_f1", "distilled/macro_f1", "gain/macro_f1", "distilled/accuracy")
SHOWN = 20  # packages, settings


def in_words(before: Path, after: Path) -> list[str]:
    """Line by line, what differs between two complete runs: settings, versions, data, figures."""
    lines = [
        *_changes("setting", _settings(before), _settings(after)),
        *_changes("", _machine(before), _machine(after)),
        *_changes("package", _packages(before), _packages(after)),
        *_changes("data of", _data(before), _data(after)),
    ]
    lines = lines or ["settings, versions, machine and data: the same"]
    name = "predictions.parquet"
    same = filecmp.cmp(before / name, after / name, shallow=False)
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


def _settings(run: Path) -> dict[str, Any]:
    return dict(leaves(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))))


def _machine(run: Path) -> dict[str, Any]:
    """What it ran on, and the models that it began with."""
    environment = _json(run / "environment.json")
    kept = ("ctkd", "git_commit", "python", "platform", "hardware", "backbones")
    return dict(leaves({key: environment.get(key) for key in kept}))


def _packages(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = _json(run / "environment.json").get("packages", {})
    return found


def _data(run: Path) -> dict[str, Any]:
    """The hash of each task's splits, by its name."""
    facts = (event for event in _events(run) if event.get("event") == "facts")
    return {fact.get("name", fact["role"]): fact.get("fingerprint") for fact in facts}


def _figures(run: Path) -> dict[str, Any]:
    metrics = _json(run / "metrics.json")
    return {name: round(metrics[name], 4) for name in FIGURES if name in metrics}


def _taken_from_the_cache(run: Path) -> int:
    return sum(event.get("event") == "reused" for event in _events(run))


def _events(run: Path) -> list[dict[str, Any]]:
    lines = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
