"""A finished run, read back from its directory: all that a report may know."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from ctkd_cli.distillation.bridges.base import LabelMap
from ctkd_cli.distillation.transfer import Hint
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.evaluation.arm_names import ON_TARGET, STILTS_DISTILLED, WITHOUT
from ctkd_cli.evaluation.calibration import scaled
from ctkd_cli.evaluation.metrics import confidence_scores, fidelity, score
from ctkd_cli.runs.rundir import resume_command
from ctkd_cli.runs.spreadsheet import original

# The files that reports are made of, and what is read from each.
PARTS = {
    "predictions.parquet": "arms",
    "events.jsonl": "tasks",
    "label_map.csv": "label_map",
    "config.yaml": "config",
    "overrides.yaml": "overrides",
    "environment.json": "environment",
}


@dataclass(frozen=True)
class Results:
    """A run directory. Reads lazily; nothing here looks at data or models again."""

    directory: Path

    @classmethod
    def read(cls, directory: Path) -> Results:
        """Raises InputError when a file that the reports are made of is missing or damaged, or
        when there is nothing to compare."""
        results = cls(directory)
        if not directory.is_dir():
            raise InputError(Problem("no such directory", where="RUN", got=str(directory)))
        problems = [
            problem for name, part in PARTS.items() if (problem := results._problem(name, part))
        ]
        if not problems:
            problems = results._gaps()
        if problems:
            raise InputError(*problems)
        return results

    @cached_property
    def arms(self) -> list[str]:
        """In the order in which they were trained; the teacher first."""
        return list(dict.fromkeys(self._table["arm"].to_pylist()))

    def seeds(self, arm: str) -> list[int]:
        return list(dict.fromkeys(self._of(arm)["seed"].to_pylist()))

    def labels(self, arm: str) -> list[str]:
        """The labels that an arm chooses among, in the task's order."""
        labels: list[str] = self.teachers.get(arm, self.facts("target"))["labels"]
        return labels

    def rows(self, arm: str, seed: int) -> pa.Table:
        """One arm with one seed, a row per test example."""
        table = self._of(arm)
        return table.filter(pc.equal(table["seed"], seed))

    def probabilities(self, arm: str, seed: int) -> np.ndarray:
        """[N, K], columns in the order of `labels`."""
        table = self.rows(arm, seed)
        return np.stack([table[f"p({label})"].to_numpy() for label in self.labels(arm)], axis=1)

    def gold_rows(self, arm: str, seed: int | None = None) -> np.ndarray:
        """[N] label indices, in the order of a seed's examples; by default of the first seed's."""
        seed = self.seeds(arm)[0] if seed is None else seed
        return self._indices(arm, self.rows(arm, seed)["gold"].to_pylist())

    def ids(self) -> list[str]:
        """Of the target's test examples, in the order of the distilled arm's first seed."""
        ids: list[str] = self.rows("distilled", self.seeds("distilled")[0])["id"].to_pylist()
        return ids

    def predicted_rows(self, arm: str, order: Sequence[str] | None = None) -> np.ndarray:
        """[S, N] label indices: seeds in the order of the distilled arm's, so that arms are paired
        row by row; examples in an order, by default that of `ids`."""
        order = self.ids() if order is None else order
        found = []
        for seed in self.seeds("distilled"):
            table = self.rows(arm, seed)
            named = dict(zip(table["id"].to_pylist(), table["predicted"].to_pylist(), strict=True))
            found.append(self._indices(arm, [named[name] for name in order]))
        return np.stack(found)

    @cached_property
    def scores(self) -> dict[str, dict[int, dict[str, float]]]:
        """Every score: arm -> seed -> name -> value."""
        return {
            arm: {seed: self._scores(arm, seed) for seed in self.seeds(arm)} for arm in self.arms
        }

    def _scores(self, arm: str, seed: int) -> dict[str, float]:
        """As predicted; `validation_...` and, at the temperature fitted there, `..._scaled` where
        there is a validation split; and for students how far they agree with the teacher, and how
        much of their batches was padding."""
        gold, probabilities = self.gold_rows(arm, seed), self.probabilities(arm, seed)
        predicted = self._indices(arm, self.rows(arm, seed)["predicted"].to_pylist())
        found = score(gold, predicted, probabilities)
        found |= self.on_validation.get((arm, seed), {})
        if (share := self.padding.get((arm, seed))) is not None:
            found["padding_share"] = share
        if temperature := self.temperatures.get((arm, seed)):
            honest = confidence_scores(gold, scaled(probabilities, temperature))
            found |= {f"{name}_scaled": value for name, value in honest.items()}
            found["temperature"] = temperature
        if ON_TARGET in self.arms and arm not in (*self.teachers, ON_TARGET):
            ids = self.rows(arm, seed)["id"].to_pylist()
            rows = self.rows(ON_TARGET, seed)["id"].to_pylist()
            place = {name: row for row, name in enumerate(rows)}
            teacher = self.probabilities(ON_TARGET, seed)[[place[name] for name in ids]]
            found |= fidelity(teacher, probabilities)
        return found

    def mean(self, arm: str, metric: str) -> float:
        """A score's mean over the run's seeds."""
        return float(np.mean([scores[metric] for scores in self.scores[arm].values()]))

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        lines = (self.directory / "events.jsonl").read_text(encoding="utf-8").splitlines()
        if lines and not _is_json(lines[-1]):
            lines.pop()  # a killed run leaves its last line half written
        return [json.loads(line) for line in lines if line.strip()]

    def facts(self, role: str) -> dict[str, Any]:
        """What is known of the first task in a role, `source` or `target`."""
        return next(self._facts(role))

    def _facts(self, role: str) -> Iterator[dict[str, Any]]:
        return (e for e in self.events if e["event"] == "facts" and e.get("role") == role)

    @cached_property
    def sources(self) -> dict[str, dict[str, Any]]:
        """Facts of the source tasks, by name."""
        return {event["name"]: event for event in self._facts("source")}

    @cached_property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Facts of every task, by what a reader would call it."""
        several = len(self.sources) > 1
        named = {f"source {name}" if several else "source": f for name, f in self.sources.items()}
        return {**named, "target": self.facts("target")}

    @cached_property
    def teachers(self) -> dict[str, dict[str, Any]]:
        """Facts of the source task that each teacher's arm is about."""
        return {facts["arm"]: facts for facts in self.sources.values()}

    @cached_property
    def without(self) -> dict[str, str]:
        """Arms that left a source out -> the source."""
        return {arm: arm.removeprefix(WITHOUT) for arm in self.arms if arm.startswith(WITHOUT)}

    @cached_property
    def controls(self) -> list[str]:
        """Arms that the distilled student is measured against."""
        others = {"distilled", STILTS_DISTILLED, ON_TARGET, *self.teachers, *self.without}
        return [arm for arm in self.arms if arm not in others]

    @cached_property
    def hints(self) -> dict[str, Hint]:
        """What each teacher's words promised, by source; means over seeds."""
        events: dict[str, list[dict[str, Any]]] = {}
        for event in self._named("transfer", "hint"):
            events.setdefault(event["name"], []).append(event)
        return {
            name: Hint(**{f.name: float(np.mean([e[f.name] for e in each])) for f in fields(Hint)})
            for name, each in events.items()
        }

    @cached_property
    def temperatures(self) -> dict[tuple[str, int], float]:
        """By arm and seed, where a validation set was there to fit them on."""
        return {
            self._arm_and_seed(event): event["value"]
            for event in self._named("evaluation", "temperature")
        }

    @cached_property
    def padding(self) -> dict[tuple[str, int], float]:
        """The share of padding in a student's batches, by arm and seed."""
        return {
            (event["arm"], event["seed"]): event["padding_share"]
            for event in self.events
            if event["event"] == "batches" and "seed" in event
        }

    @cached_property
    def on_validation(self) -> dict[tuple[str, int], dict[str, float]]:
        """`validation_macro_f1` and `validation_accuracy` by arm and seed, means over its folds,
        where there is a validation set."""
        found: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for event in self._named("evaluation", "validation"):
            found.setdefault(self._arm_and_seed(event), []).append(event)
        return {
            key: {
                f"validation_{metric}": float(np.mean([event[metric] for event in each]))
                for metric in ("macro_f1", "accuracy")
            }
            for key, each in found.items()
        }

    def _arm_and_seed(self, event: dict[str, Any]) -> tuple[str, int]:
        """Whom an event is about; a teacher's, which has one seed, does not name it."""
        arm = event["arm"]
        return arm, event.get("seed", self.seeds(arm)[0])

    @cached_property
    def efficiency(self) -> dict[str, dict[str, float]]:
        """`teacher` and `student` -> parameters, megabytes, latency, throughput; {} if they were
        not measured."""
        found = next(self._named("evaluation", "efficiency"), {})
        return {name: found[name] for name in ("teacher", "student") if name in found}

    @cached_property
    def shares(self) -> dict[str, float]:
        """The part of lambda that each source's teacher had; mean over seeds."""
        return self._mean_of_crossings("shares")

    @property
    def weights(self) -> dict[str, float]:
        """The mean weight of each term of the distillation part, before lambda."""
        return self._mean_of_crossings("weights")

    def _mean_of_crossings(self, figure: str) -> dict[str, float]:
        found = [event.get(figure, {}) for event in self._named("bridge", "done")]
        names = found[0] if found else {}
        return {name: float(np.mean([each[name] for each in found])) for name in names}

    def _named(self, stage: str, event: str) -> Iterator[dict[str, Any]]:
        return (e for e in self.events if e["stage"] == stage and e["event"] == event)

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """Facts of `teacher` and `student`."""
        found = next(event for event in self.events if event["event"] == "models")
        return {role: found[role] for role in ("teacher", "student")}

    @cached_property
    def steps(self) -> dict[str, list[list[dict[str, Any]]]]:
        """Step events of each arm that was trained in this run, a list for each of its seeds, and
        for each of their folds."""
        found: dict[str, dict[Any, list[dict[str, Any]]]] = {}
        for event in self.events:
            if event["event"] == "step":
                turn = event.get("seed"), event.get("fold")
                found.setdefault(event["arm"], {}).setdefault(turn, []).append(event)
        return {arm: list(seeds.values()) for arm, seeds in found.items()}

    @cached_property
    def label_map(self) -> LabelMap:
        with (self.directory / "label_map.csv").open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        if header[-1:] != ["mapped"]:
            raise ValueError("label_map.csv has no column `mapped`")
        weights = np.array([[float(cell) for cell in row[1:-1]] for row in rows])
        totals = weights.sum(axis=1, keepdims=True)  # six decimals in the file
        weights = weights / np.where(totals > 0, totals, 1)
        return LabelMap(
            tuple(original(row[0]) for row in rows), tuple(map(original, header[1:-1])), weights
        )

    @cached_property
    def config(self) -> Any:
        return self._yaml("config.yaml")

    @cached_property
    def overrides(self) -> list[str]:
        return self._yaml("overrides.yaml") or []

    @cached_property
    def environment(self) -> Any:
        return self._json("environment.json")

    def command(self, *overrides: str) -> str:
        """`ctkd run` with these overrides and the run's own folder of YAMLs, for a shell."""
        folder = self.environment.get("config_dir")
        named = ["--config-dir", folder] if folder else []
        return shlex.join(["ctkd", "run", *named, *overrides])

    def seconds(self) -> dict[str, float]:
        """What each stage took, all seeds together; not the evaluation, which is writing the
        reports."""
        found: dict[str, float] = {}
        for event in self.events:
            if event["event"] == "done" and "seconds" in event and event["stage"] != "evaluation":
                title = f"{event['stage']} {event.get('arm', '')}".strip()
                found[title] = found.get(title, 0.0) + event["seconds"]
        return found

    def worst_errors(self, control: str, limit: int = 200) -> Iterator[dict[str, Any]]:
        """Test examples that the distilled student gets wrong, the most certain first, with what a
        control and, through the bridge, the teacher say of them with the same seed."""
        seed = self.seeds("distilled")[0]
        others = {row["id"]: row for row in self.rows(control, seed).to_pylist()}
        taught = self.rows(ON_TARGET, seed).to_pylist() if ON_TARGET in self.arms else []
        teacher = {row["id"]: row["predicted"] for row in taught}
        wrong = [
            row
            for row in self.rows("distilled", seed).to_pylist()
            if row["predicted"] != row["gold"]
        ]
        wrong.sort(key=lambda row: -row[f"p({row['predicted']})"])
        for row in wrong[:limit]:
            other = others[row["id"]]
            yield {
                "id": row["id"],
                "input": row["input"] or "",
                "gold": row["gold"],
                "distilled": row["predicted"],
                "p_distilled": row[f"p({row['predicted']})"],
                "control": other["predicted"],
                "p_control": other[f"p({other['predicted']})"],
                "teacher": teacher.get(row["id"], "–"),
            }

    @cached_property
    def _table(self) -> pa.Table:
        return pq.read_table(self.directory / "predictions.parquet")

    def _of(self, arm: str) -> pa.Table:
        return self._table.filter(pc.equal(self._table["arm"], arm))

    def _indices(self, arm: str, names: list[str]) -> np.ndarray:
        index = {label: position for position, label in enumerate(self.labels(arm))}
        return np.array([index[name] for name in names])

    def _problem(self, name: str, part: str) -> Problem | None:
        """What is wrong with a file; None when it can be read."""
        path = self.directory / name
        if not path.is_file():
            return Problem(
                f"this is no finished run: it has no {name}",
                where="RUN",
                got=str(self.directory),
                remedy=resume_command(self.directory),
            )
        try:
            getattr(self, part)
        except (ValueError, OSError, LookupError, StopIteration, yaml.YAMLError, pa.ArrowException):
            return Problem(f"{name} is damaged", where="RUN", got=str(path))
        return None

    def _gaps(self) -> list[Problem]:
        """What the predictions lack: an arm, or a seed or an answer of an arm."""
        where, got = "RUN", str(self.directory / "predictions.parquet")
        compared = [arm for arm in self.arms if arm not in self.teachers]
        if "distilled" not in compared or not self.controls:
            return [
                Problem(
                    "there is nothing to compare", where=where, got=f"arms {', '.join(self.arms)}",
                    allowed="distilled and a control",
                )
            ]  # fmt: skip
        seeds = set(self.seeds("distilled"))
        gaps = [
            Problem(f"arm {arm} has other seeds than distilled", where=where, got=got)
            for arm in compared
            if set(self.seeds(arm)) != seeds
        ]
        for column in ("gold", "predicted"):
            if self._table[column].null_count:
                gaps.append(Problem(f"column {column} has empty cells", where=where, got=got))
        return gaps

    def _yaml(self, name: str) -> Any:
        return yaml.safe_load((self.directory / name).read_text(encoding="utf-8"))

    def _json(self, name: str) -> Any:
        return json.loads((self.directory / name).read_text(encoding="utf-8"))


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
