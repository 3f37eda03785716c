"""Several runs side by side: what differs in their settings, and in their figures."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.evaluation.across_runs import pooled_gain
from ctkd_cli.evaluation.results import Results
from ctkd_cli.evaluation.significance import holm, mcnemar, randomisation
from ctkd_cli.evaluation.verdict import best_control
from ctkd_cli.runs.printable import printable
from ctkd_cli.runs.rundir import SWEEP_FILE, resume_command
from ctkd_cli.runs.spreadsheet import inert, write
from ctkd_cli.runtime import streams
from ctkd_cli.settings.plain_data import leaves

SELECTORS = ("name", "kind", "reader", "backbone")  # keys that choose a part, and so its keys
# Settings in which runs of one group may differ.
OF_A_SEED = ("seed", "seeds", "name", "tracker", "reuse")


@dataclass(frozen=True)
class Run:
    """A finished run, of one seed or several."""

    results: Results

    @cached_property
    def settings(self) -> dict[str, str]:
        """Dotted keys and values, but for the seed."""
        found = leaves(self.results.config)
        return {key: _shown(value) for key, value in found if key not in OF_A_SEED}

    @property
    def seeds(self) -> list[int]:
        return self.results.seeds("distilled")

    @cached_property
    def control(self) -> str:
        """The best one."""
        return best_control(self.results)

    def score(self, arm: str, seed: int) -> float:
        return self.results.scores[arm][seed][self.results.metric.name]

    def statistics(self, seed: int, ids: Sequence[str]) -> np.ndarray:
        """[N, C]: what the metric counts in the distilled student's answers to these examples."""
        return np.asarray(self.results.statistics("distilled", ids)[self.seeds.index(seed)])

    def answers(self, seed: int, ids: Sequence[str]) -> np.ndarray:
        """Label indices that the distilled student gave these examples."""
        return np.asarray(self.results.predicted_rows("distilled", ids)[self.seeds.index(seed)])


@dataclass(frozen=True)
class Row:
    """Runs that differ in nothing but their seed. differs: the settings in which rows of one test
    set differ. p_value: that the first row's distilled student is no better or worse than this
    one's, over the seeds that both have, adjusted for the number of rows (Holm); None for the first
    row of a test set, and where the two share no test set or no seed."""

    test_set: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    differs: Mapping[str, str]
    metric: str
    alone: float
    best_control: float
    distilled: float
    gain: float
    gain_low: float
    gain_high: float
    p_value: float | None


def compare(directories: Sequence[Path], different_tests: bool = False) -> list[Row]:
    """A row for each group of runs: those of one test set together, the best distilled student
    first: it is what one would take. Sweep directories stand for their jobs. different_tests: all
    together, whatever they were tested on.

    Raises InputError when a directory holds no finished run.
    """
    tests: dict[str, list[Run]] = {}
    for run in _read(directories):
        tests.setdefault("" if different_tests else run.results.test_set, []).append(run)
    return [row for runs in tests.values() for row in _side_by_side(runs)]


def _side_by_side(runs: Sequence[Run]) -> list[Row]:
    groups: dict[tuple[tuple[str, str], ...], list[dict[int, Run]]] = {}
    for run in runs:
        alike = groups.setdefault(tuple(run.settings.items()), [])
        group = next((group for group in alike if _agrees(run, group)), None)
        if group is None:
            alike.append(group := {})
        group |= dict.fromkeys(run.seeds, run)
    members = [dict(sorted(group.items())) for alike in groups.values() for group in alike]
    differing = _differing([next(iter(group.values())).settings for group in members])
    rows = [_row(group, differing) for group in members]
    merit = members[0][next(iter(members[0]))].results.metric.merit
    order = sorted(range(len(rows)), key=lambda index: -merit(rows[index].distilled))
    first = members[order[0]]
    tested = [(index, _p_value(first, members[index])) for index in order[1:]]
    known = [(index, p) for index, p in tested if p is not None]
    adjusted = dict(zip((i for i, _ in known), holm([p for _, p in known]), strict=True))
    return [replace(rows[i], p_value=adjusted.get(i)) for i in order]


def _agrees(run: Run, group: Mapping[int, Run]) -> bool:
    """Whether a run gave the figures of those before it with its settings, as far as they share
    seeds; a seed that was run twice counts once. Other code, data or machines may give others."""
    return all(
        run.score(arm, seed) == group[seed].score(arm, seed)
        for arm in ("alone", "distilled")
        for seed in run.seeds
        if seed in group
    )


def _read(directories: Sequence[Path]) -> list[Run]:
    found: list[Path] = []
    problems: list[Problem] = []
    for directory in directories:
        inner = sorted(path.parent for path in directory.glob("*/predictions.parquet"))
        if (directory / "predictions.parquet").is_file():
            found.append(directory)
        elif inner:
            found += inner
        else:
            problems.append(
                Problem(
                    "no finished run lies here", where="DIR", got=str(directory),
                    allowed="a run directory, or a sweep's", remedy=resume_command(directory),
                )
            )  # fmt: skip
    runs = []
    for directory in dict.fromkeys(found):
        try:
            runs.append(Run(Results.read(directory)))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return runs


def _row(group: Mapping[int, Run], differing: Sequence[str]) -> Row:
    """group: the run of each seed."""
    runs = list(dict.fromkeys(group.values()))
    over_best = pooled_gain({seed: run.results for seed, run in group.items()})
    alone, distilled, best = (
        float(np.mean([run.score(arm or run.control, seed) for seed, run in group.items()]))
        for arm in ("alone", "distilled", "")
    )
    return Row(
        test_set=_test_set(runs),
        runs=tuple(str(run.results.directory) for run in runs),
        seeds=tuple(group),
        differs={key: runs[0].settings.get(key, "") for key in differing},
        metric=runs[0].results.metric.title,
        alone=alone,
        best_control=best,
        distilled=distilled,
        gain=over_best.estimate,
        gain_low=over_best.low,
        gain_high=over_best.high,
        p_value=None,
    )


def _test_set(runs: Sequence[Run]) -> str:
    """What runs were tested on, in words that tell it from others."""
    names = {
        f"{run.results.facts('target')['reader']}, {len(run.results.ids())} test examples "
        f"({run.results.test_set[:8]})": None
        for run in runs
    }
    return "; ".join(names)


def _differing(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys in which runs differ, but for those that follow from another choice: a loss without a
    temperature differs from one with it by its name alone."""
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if any(_chosen(key, a, b) for a, b in combinations(settings, 2))]


def _chosen(key: str, first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    if first.get(key) == second.get(key):
        return False
    part, _, rest = key.partition(".")
    chooses = [f"{part}.{selector}" for selector in SELECTORS]
    return rest in SELECTORS or all(first.get(c) == second.get(c) for c in chooses)


def _p_value(first: Mapping[int, Run], other: Mapping[int, Run]) -> float | None:
    """Paired: for one shared seed exact McNemar or, where examples have several labels,
    randomisation; Student's t over several."""
    shared = [
        seed
        for seed in first
        if seed in other and first[seed].results.test_set == other[seed].results.test_set
    ]
    if not shared:
        return None
    if len(shared) == 1:
        (seed,) = shared
        one, two = first[seed], other[seed]
        ids, metric = one.results.ids(), one.results.metric
        if one.results.several:
            each = [run.statistics(seed, ids) for run in (one, two)]
            return randomisation(metric, each[0], each[1], one.results.groups(ids))
        said = [run.answers(seed, ids) for run in (one, two)]
        return mcnemar(one.results.gold_rows(ids), said[0], said[1])
    differences = [
        first[seed].score("distilled", seed) - other[seed].score("distilled", seed)
        for seed in shared
    ]
    if np.ptp(differences) == 0:
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0).pvalue)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_json(rows: Sequence[Row]) -> str:
    return streams.as_json([asdict(row) for row in rows], indent=1)


def as_csv(rows: Sequence[Row]) -> str:
    """A line per row; the settings that differ are columns, empty where all runs of a test set
    have the same."""
    text = io.StringIO()
    titles, cells = table(rows)
    settings = titles.index("seeds")
    write(
        text,
        [
            ["test set", *titles],
            *(
                [inert(row.test_set), *map(inert, line[:settings]), *line[settings:-1],
                 inert(line[-1])]
                for row, line in zip(rows, cells, strict=True)
            ),
        ],
    )  # fmt: skip
    return text.getvalue()


def as_markdown(rows: Sequence[Row], together: bool = False) -> str:
    """A table for each test set, under its name where there are several."""
    parts = by_test_set(rows, together)
    found = []
    for name, part in parts.items():
        titles, cells = table(part)
        lines = [titles, ["---"] * len(titles), *cells]
        head = f"Tested on {_in_markdown(name)}\n\n" if len(parts) > 1 else ""
        found.append(
            head + "\n".join(f"| {' | '.join(map(_in_markdown, line))} |" for line in lines)
        )
    return "\n\n".join(found)


def _in_markdown(cell: str) -> str:
    return printable(cell).replace("|", "∣").replace("<", "&lt;")


def by_test_set(rows: Sequence[Row], together: bool = False) -> dict[str, list[Row]]:
    """The rows of each table by its name; together: one of all."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault("" if together else row.test_set, []).append(row)
    return found


def named(runs: Sequence[str]) -> str:
    """Runs by their folder; a job by its sweep's too."""
    path = Path(runs[0])
    job = path.parent / SWEEP_FILE
    name = f"{path.parent.name}/{path.name}" if job.is_file() else path.name
    return name if len(runs) == 1 else f"{name} and {len(runs) - 1} more"


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells; the settings that differ come first, the runs last."""
    keys = list(dict.fromkeys(key for row in rows for key in row.differs))
    titles = [
        *keys, "seeds", "alone", "best control", "distilled", "gain", "95% interval", "p vs first",
        "runs",
    ]  # fmt: skip
    return titles, [
        [
            *(row.differs.get(key, "") for key in keys),
            str(len(row.seeds)),
            f"{row.alone:.3f}",
            f"{row.best_control:.3f}",
            f"{row.distilled:.3f}",
            f"{row.gain:+.3f}",
            f"{row.gain_low:+.3f} to {row.gain_high:+.3f}",
            "" if row.p_value is None else f"{row.p_value:.3f}",
            named(row.runs),
        ]
        for row in rows
    ]
