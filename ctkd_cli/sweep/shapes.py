"""What the groups' scores look like over the settings: a curve for each number that was swept
over, a grid over two keys, lines over three and more. All scores are of target test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.evaluation.label_curve import Saved, labels_saved
from ctkd_cli.sweep.job import named, varied

if TYPE_CHECKING:
    from ctkd_cli.sweep.directory import Sweep
    from ctkd_cli.sweep.job import Group
    from ctkd_cli.tasks.metric import Metric

LABELS = "target.labels_per_class"  # a sweep over it is a label curve
WIDE = 8  # a range of numbers over which a logarithmic axis reads better
TICKS = 8  # values of an axis that are all named


@dataclass(frozen=True)
class Curve:
    """Scores over one setting. axis: its key; at: its values, rising; scores: by arm, then seed.
    others: what the other keys are meanwhile, in words. saved: with labels on the axis, what
    distillation saves."""

    axis: str
    at: tuple[float, ...]
    scores: Mapping[str, Mapping[int, Sequence[float]]]
    others: str = ""
    saved: tuple[Saved, ...] = ()


@dataclass(frozen=True)
class Grid:
    """The distilled student's score over two keys: cells [rows, columns], NaN where nothing was
    run. chosen: the place of the best by validation."""

    keys: tuple[str, str]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: np.ndarray
    chosen: tuple[int, int] | None


@dataclass(frozen=True)
class Axis:
    """at: the place of each group, from 0 to 1. ticks: places and what stands there. few: groups
    share places, and their lines would hide each other."""

    title: str
    at: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]
    few: bool = True


@dataclass(frozen=True)
class Lines:
    """Parallel coordinates: an axis for every key, then the scores. scores: what colours a group's
    line; scored: its name. chosen: the index of the best by validation."""

    axes: tuple[Axis, ...]
    scores: tuple[float, ...]
    scored: str
    chosen: int | None


def curves(sweep: Sweep) -> list[Curve]:
    """One for every key whose values are numbers."""
    keys = varied([dict(group.settings) for group in sweep.groups])
    found = (_curve(sweep, key, [other for other in keys if other != key]) for key in keys)
    return [curve for curve in found if curve is not None]


def saved(sweep: Sweep) -> tuple[Saved, ...]:
    """What distillation saves, where labels were swept over and nothing else."""
    found = curves(sweep)
    return found[0].saved if len(found) == 1 else ()


def grid(sweep: Sweep) -> Grid | None:
    """Where groups differ in two keys."""
    keys = varied([dict(group.settings) for group in sweep.groups])
    if len(keys) != 2:
        return None
    down, across = keys
    rows, columns = (_in_order(g.settings.get(key, "") for g in sweep.groups) for key in keys)
    cells = np.full((len(rows), len(columns)), np.nan)
    chosen = None
    for group in sweep.groups:
        place = (
            rows.index(group.settings.get(down, "")),
            columns.index(group.settings.get(across, "")),
        )
        cells[place] = group.score("distilled")
        if group is sweep.best:
            chosen = place
    return Grid((down, across), tuple(rows), tuple(columns), cells, chosen)


def lines(sweep: Sweep) -> Lines | None:
    """Where groups differ in three keys or more."""
    groups = sweep.groups
    keys = varied([dict(group.settings) for group in groups])
    if len(keys) < 3:
        return None
    axes = [_axis(key, [group.settings.get(key, "") for group in groups]) for key in keys]
    tested = [group.score("distilled") for group in groups]
    scores, scored = tested, "test"
    if sweep.chooses is not None:
        scores, scored = [sweep.unseen(group) for group in groups], sweep.chosen_on
        axes.append(_score_axis(f"{sweep.chooses.title}, {scored}", scores))
    axes.append(_score_axis(f"{sweep.metric.title}, test", tested))
    chosen = groups.index(sweep.best) if sweep.best is not None else None
    return Lines(tuple(axes), tuple(scores), scored, chosen)


def _curve(sweep: Sweep, axis: str, others: Sequence[str]) -> Curve | None:
    """The other keys as validation chose them; where that leaves too few points, or nothing was
    chosen, means over them."""
    best = sweep.best
    if others and best is not None:
        alike = [
            group
            for group in sweep.groups
            if all(group.settings.get(key) == best.settings.get(key) for key in others)
        ]
        fixed = f"{named(dict(best.settings), others)}, as chosen by {sweep.chosen_on}"
        if found := _through(alike, axis, fixed):
            return found
    return _through(sweep.groups, axis, "means over the other settings" if others else "")


def _through(groups: Sequence[Group], axis: str, others: str) -> Curve | None:
    """None when the axis has no two numbers or the groups have no seed in common."""
    points: dict[str, list[Group]] = {}  # by the value as typed
    for group in groups:
        points.setdefault(group.settings.get(axis, ""), []).append(group)
    values = [_value(axis, typed, each) for typed, each in points.items()]
    # Of points that spend the same labels, since the data has no more, the first stays.
    _, rows = np.unique(values, return_index=True)
    if len(rows) < 2 or not np.isfinite(values).all():
        return None
    at = tuple(values[row] for row in rows)
    members = [list(points.values())[row] for row in rows]
    of_seeds = {
        arm: [[group.of_seeds(arm) for group in each] for each in members]
        for arm in ("alone", "distilled")
    }
    seeds = set.intersection(*(set(found) for each in of_seeds["distilled"] for found in each))
    if not seeds:
        return None
    scores = {
        arm: {
            seed: [float(np.mean([found.get(seed, np.nan) for found in each])) for each in points_]
            for seed in sorted(seeds)
        }
        for arm, points_ in of_seeds.items()
    }
    counts = axis == LABELS and not others
    saved = _saved(at, scores, groups[0].metric) if counts else []
    return Curve(axis, at, scores, others, tuple(saved))


def _saved(
    at: Sequence[float], scores: Mapping[str, Mapping[int, Sequence[float]]], metric: Metric
) -> list[Saved]:
    """What distillation saves of labels, in scores as they are."""
    alone, distilled = (
        {seed: [metric.merit(score) for score in each] for seed, each in scores[arm].items()}
        for arm in ("alone", "distilled")
    )
    found = labels_saved(at, alone, distilled)
    return [replace(each, score=metric.merit(each.score)) for each in found]


def _value(axis: str, typed: str, groups: Sequence[Group]) -> float:
    """Where a setting stands on its axis; NaN when it is no number."""
    if axis == LABELS:
        return float(np.mean([group.labels_per_class for group in groups]))
    return _number(typed)


def _number(typed: str) -> float:
    try:
        return float(typed)
    except ValueError:
        return float("nan")


def _in_order(values: Iterable[str]) -> list[str]:
    """Distinct values: numbers rising, names as they come."""
    distinct = list(dict.fromkeys(values))
    numbers = [_number(value) for value in distinct]
    return sorted(distinct, key=_number) if np.isfinite(numbers).all() else distinct


def _axis(key: str, typed: Sequence[str]) -> Axis:
    """Numbers where they stand, evenly or, over a wide range, by their logarithm; names evenly."""
    distinct = _in_order(typed)
    numbers = np.array([_number(value) for value in distinct])
    if not np.isfinite(numbers).all():
        numbers = np.arange(len(distinct), dtype=float)
    elif is_wide(numbers):
        numbers = np.log(numbers)
    places = (numbers - numbers.min()) / (np.ptp(numbers) or 1)  # 1 and 1.0 are one place
    place = dict(zip(distinct, map(float, places), strict=True))
    few = len(distinct) <= TICKS
    shown = distinct if few else [distinct[0], distinct[len(distinct) // 2], distinct[-1]]
    ticks = tuple((place[value], value) for value in shown)
    return Axis(key, tuple(place[value] for value in typed), ticks, few)


def _score_axis(title: str, scores: Sequence[float]) -> Axis:
    low, high = min(scores), max(scores)
    spread = (high - low) or 1.0
    ends = [(0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")] if high > low else [(0.0, f"{low:.3f}")]
    return Axis(title, tuple((score - low) / spread for score in scores), tuple(ends), few=False)


def is_wide(numbers: Sequence[float] | np.ndarray) -> bool:
    """Whether a logarithmic axis reads better."""
    return min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE
