"""A finished run, read back from its directory: all that a report may know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from ctkd_cli.data._ids import Ids
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.evaluation.arm_names import ON_TARGET, STILTS_DISTILLED, WITHOUT
from ctkd_cli.evaluation.calibration import scaled
from ctkd_cli.evaluation.metrics import Answers, confidence_scores, fidelity, score
from ctkd_cli.evaluation.run_record import RunRecord
from ctkd_cli.runs.rundir import resume_command
from ctkd_cli.settings.component import find
from ctkd_cli.tasks.kinds.base import Kind
from ctkd_cli.tasks.metric import Metric

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
class Results(RunRecord):
    """A run directory with its answers."""

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
        return list(dict.fromkeys(arm for arm, _ in self._tables))

    def seeds(self, arm: str) -> list[int]:
        return [seed for each, seed in self._tables if each == arm]

    def labels(self, arm: str) -> list[str]:
        """The labels that an arm chooses among, in the task's order."""
        labels: list[str] = self.teachers.get(arm, self.facts("target"))["labels"]
        return labels

    def kind(self, arm: str) -> Kind:
        """The kind of task that an arm answers, with the settings that it had."""
        facts = self.teachers.get(arm)
        settings = self.config["target"]
        if facts is not None:
            source = self.config["source"]
            if "kind" not in source:  # several; merged ones are one task, with the first's settings
                source = source.get(facts["name"], next(iter(source.values())))
            settings = source
        cls: type[Kind] = find(Kind, settings["kind"], "kind")  # type: ignore[type-abstract]
        return cls.model_validate({k: v for k, v in settings.items() if k in cls.model_fields})

    def metric_of(self, arm: str) -> Metric:
        """What an arm's task is judged by."""
        return self.kind(arm).metric(self.labels(arm))

    @cached_property
    def metric(self) -> Metric:
        """What the target task is judged by."""
        return self.metric_of("distilled")

    @cached_property
    def several(self) -> bool:
        """Whether examples of the target task have several labels each."""
        return self.answers("distilled", self.seeds("distilled")[0]).offsets is not None

    def rows(self, arm: str, seed: int) -> pa.Table:
        """One arm with one seed, a row per test example."""
        return self._tables[arm, seed]

    def answers(self, arm: str, seed: int) -> Answers:
        """The same, as label indices and probabilities."""
        return Answers.of(self.rows(arm, seed), self.labels(arm))

    def ids(self) -> list[str]:
        """Of the target's test examples, in the order of the distilled arm's first seed."""
        ids: list[str] = self.rows("distilled", self.seeds("distilled")[0])["id"].to_pylist()
        return ids

    @cached_property
    def test_set(self) -> str:
        """Identifies the target's test examples and their labels. Ids alone do not: those that are
        counted are the same for every file."""
        rows = self.rows("distilled", self.seeds("distilled")[0])
        columns = (rows[name].to_pylist() for name in ("id", "gold", "input"))
        told = sorted(zip(*columns, strict=True), key=lambda row: str(row[0]))
        return hashlib.sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()

    def groups(self, order: Sequence[str] | None = None) -> np.ndarray | None:
        """[N], a number for what each example belongs to; None where no examples belong
        together."""
        table = self._ordered("distilled", self.seeds("distilled")[0], order)
        # Where only the source has groups, the target's rows hold nulls in its column.
        if "group" not in table.column_names or table["group"].null_count:
            return None
        return np.unique(np.array(table["group"].to_pylist()), return_inverse=True)[1]

    def gold_rows(self, order: Sequence[str] | None = None) -> np.ndarray:
        """[S] label indices at all positions of target test that have a label."""
        gold = self._answers("distilled", self.seeds("distilled")[0], order).gold
        return gold[gold >= 0]

    def predicted_rows(self, arm: str, order: Sequence[str] | None = None) -> np.ndarray:
        """[seeds, S] label indices at the same positions: seeds in the order of the distilled
        arm's, so that arms are paired row by row; examples in an order, by default `ids`."""
        found = []
        for seed in self.seeds("distilled"):
            answers = self._answers(arm, seed, order)
            found.append(answers.predicted[answers.gold >= 0])
        return np.stack(found)

    def statistics(self, arm: str, order: Sequence[str] | None = None) -> np.ndarray:
        """[seeds, N, C]: what the metric counts in each example; seeds and examples in the order of
        `predicted_rows`."""
        kind, labels = self.kind(arm), self.labels(arm)
        tables = (self._ordered(arm, seed, order) for seed in self.seeds("distilled"))
        return np.stack(
            [
                kind.statistics(_whole(table["gold"]), _whole(table["predicted"]), labels)
                for table in tables
            ]
        )

    @cached_property
    def scores(self) -> dict[str, dict[int, dict[str, float]]]:
        """Every score: arm -> seed -> name -> value."""
        return {
            arm: {seed: self._scores(arm, seed) for seed in self.seeds(arm)} for arm in self.arms
        }

    def _scores(self, arm: str, seed: int) -> dict[str, float]:
        """As predicted; on what students have not learnt from (`unseen`) and, at the temperature
        that validation fits, `..._scaled`; and for students how far they agree with the teacher,
        and how much of their batches was padding."""
        table, labels = self.rows(arm, seed), self.labels(arm)
        answers = self.answers(arm, seed)
        found = score(self.kind(arm), labels, _whole(table["gold"]), _whole(table["predicted"]))
        found |= confidence_scores(answers)
        found |= self.unseen.get((arm, seed), {})
        if (share := self.padding.get((arm, seed))) is not None:
            found["padding_share"] = share
        temperature = self.temperatures.get((arm, seed))
        if temperature and answers.probabilities is not None:
            honest = confidence_scores(answers.scaled(temperature, scaled))
            found |= {f"{name}_scaled": value for name, value in honest.items()}
            found["temperature"] = temperature
        if ON_TARGET in self.arms and arm not in (*self.teachers, ON_TARGET):
            order = table["id"].to_pylist()
            found |= fidelity(self._answers(ON_TARGET, seed, order), answers)
        return found

    def mean(self, arm: str, metric: str) -> float:
        """A score's mean over the run's seeds."""
        return float(np.mean([scores[metric] for scores in self.scores[arm].values()]))

    def headline(self, arm: str) -> float:
        """The mean of what the arm's task is judged by."""
        return self.mean(arm, self.metric_of(arm).name)

    @cached_property
    def controls(self) -> list[str]:
        """Arms that the distilled student is measured against."""
        others = {"distilled", STILTS_DISTILLED, ON_TARGET, *self.teachers, *self.without}
        return [arm for arm in self.arms if arm not in others]

    @cached_property
    def without(self) -> dict[str, str]:
        """Arms that left a source out -> the source."""
        return {arm: arm.removeprefix(WITHOUT) for arm in self.arms if arm.startswith(WITHOUT)}

    def worst_errors(self, control: str, limit: int = 200) -> Iterator[dict[str, Any]]:
        """Test examples that the distilled student gets wrong, the most certain first or, where
        they have several labels, those with most errors; with what a control and, through the
        bridge, the teacher say of them with the same seed."""
        seed = self.seeds("distilled")[0]
        order, kind = self.ids(), self.kind("distilled")
        arms = {"distilled": "distilled", "control": control}
        if ON_TARGET in self.arms:
            arms["teacher"] = ON_TARGET
        tables = {name: self._ordered(arm, seed, order).to_pylist() for name, arm in arms.items()}
        answers = self._answers("distilled", seed, order)
        for row in answers.worst(limit):
            said = {name: table[row] for name, table in tables.items()}
            own = said["distilled"]
            yield {
                "id": own["id"],
                "input": own["input"] or "",
                "teacher": "–",
                **kind.errors(own, {name: each["predicted"] for name, each in said.items()}),
                "p_distilled": own.get(f"p({own['predicted']})"),
                "p_control": said["control"].get(f"p({said['control']['predicted']})"),
            }

    @cached_property
    def _tables(self) -> dict[tuple[str, int], pa.Table]:
        """The rows of each arm and seed, in the order in which they were written."""
        table = pq.read_table(self.directory / "predictions.parquet").combine_chunks()
        arm, seed = (pc.dictionary_encode(_whole(table[name])) for name in ("arm", "seed"))
        codes = np.asarray(arm.indices) * len(seed.dictionary) + np.asarray(seed.indices)
        found = {}
        for code in dict.fromkeys(codes.tolist()):
            arm_at, seed_at = divmod(code, len(seed.dictionary))
            key = arm.dictionary[arm_at].as_py(), seed.dictionary[seed_at].as_py()
            found[key] = table.take(np.flatnonzero(codes == code))
        return found

    def _ordered(self, arm: str, seed: int, order: Sequence[str] | None) -> pa.Table:
        """The rows of an arm in an order of ids, by default that of `ids`."""
        table = self.rows(arm, seed)
        return table.take(Ids(table["id"].to_pylist()).positions(order or self.ids()))

    def _answers(self, arm: str, seed: int, order: Sequence[str] | None) -> Answers:
        return Answers.of(self._ordered(arm, seed, order), self.labels(arm))

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
            if any(table[column].null_count for table in self._tables.values()):
                gaps.append(Problem(f"column {column} has empty cells", where=where, got=got))
        return gaps


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else found.chunk(0)
