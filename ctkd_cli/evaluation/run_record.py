"""A finished run's story: what its events, settings and files tell, but for its answers."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ctkd_cli.distillation.bridges.base import LabelMap
from ctkd_cli.distillation.transfer import Hint
from ctkd_cli.runs.spreadsheet import original


@dataclass(frozen=True)
class RunRecord:
    """A run directory. Reads lazily; nothing here looks at data or models again."""

    directory: Path

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
    def titles(self) -> dict[str, str]:
        """What each task is called: as it was chosen, or by the user's own data."""
        chosen = self.environment.get("chosen", {})
        return {
            role: facts.get("title") or chosen.get(role) or facts["reader"]
            for role, facts in self.tasks.items()
        }

    @cached_property
    def teachers(self) -> dict[str, dict[str, Any]]:
        """Facts of the source task that each teacher's arm is about."""
        return {facts["arm"]: facts for facts in self.sources.values()}

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
    def unseen(self) -> dict[tuple[str, int], dict[str, float]]:
        """`validation_...` scores by arm and seed, means over its folds, where there is a
        validation set; `cross_validated_...` where settings are chosen by left-out labels."""
        told = ("time", "stage", "event", "seed", "fold", "arm")
        found: dict[tuple[str, int], dict[str, list[float]]] = {}
        for prefix, events in {
            "validation": self._named("evaluation", "validation"),
            "cross_validated": self._named("selection", "likelihood"),
        }.items():
            for event in events:
                scores = found.setdefault(self._arm_and_seed(event), {})
                for name, value in event.items():
                    if name not in told:
                        scores.setdefault(f"{prefix}_{name}", []).append(value)
        return {
            key: {name: float(np.mean(each)) for name, each in scores.items()}
            for key, scores in found.items()
        }

    def _arm_and_seed(self, event: dict[str, Any]) -> tuple[str, int]:
        """Whom an event is about; a teacher's, which has one seed, does not name it."""
        seed: int = event.get("seed", self.config["teacher"]["seed"])
        return event["arm"], seed

    @cached_property
    def efficiency(self) -> dict[str, dict[str, float]]:
        """`teacher` and `student` -> parameters, megabytes, latency, throughput; {} if they were
        not measured."""
        found = next(self._named("evaluation", "efficiency"), {})
        return {name: found[name] for name in ("teacher", "student") if name in found}

    @cached_property
    def own_costs(self) -> dict[str, dict[str, float]]:
        """The same figures of arms that are neither model, by arm, as first measured."""
        events = [e for e in self.events if e["event"] == "cost"]
        return {event["arm"]: event for event in reversed(events)}

    @cached_property
    def fitted(self) -> dict[str, dict[str, Any]]:
        """How the logistic regression of each rival was fitted, with the first seed."""
        events = [e for e in self.events if e["event"] == "fitted"]
        return {event["arm"]: event for event in reversed(events)}

    @cached_property
    def vocabulary(self) -> str:
        """What was left of the student's vocabulary, in words; "" where all of it was."""
        return str(next(self._named("student", "vocabulary"), {}).get("sentence", ""))

    @cached_property
    def chosen(self) -> dict[str, Any]:
        """The arm that student/ holds; with select=best_arm what it was chosen by, and the mean
        log-likelihood of each arm there."""
        found = next(self._named("selection", "chosen"), {})
        return {"arm": "distilled", "by": "", "likelihoods": {}, **found}

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
        """Facts of `teacher` and `student`; {} in runs of old."""
        found = next((event for event in self.events if event["event"] == "models"), {})
        return {role: found[role] for role in ("teacher", "student") if role in found}

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
