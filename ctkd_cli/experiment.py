"""The settings of a run: one typed, frozen object, validated once, at the door.

A plain mapping (composed from YAML groups, compose.py) becomes an `Experiment`. The chosen parts
decide its exact type: `loss.name: mapped_kl` makes `experiment.loss` a `MappedKl`, with that
loss's own keys and bounds. Every problem is reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, create_model, field_validator, model_validator

from ctkd_cli.backbones.base import Backbone
from ctkd_cli.data.base import Reader
from ctkd_cli.distillation.bridges.base import Bridge
from ctkd_cli.distillation.fusion import Fusion
from ctkd_cli.distillation.losses.base import Loss
from ctkd_cli.distillation.schedules.base import Schedule
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.evaluation.arm_names import QUICK, ControlName, RivalName
from ctkd_cli.runs.tracking import Tracker
from ctkd_cli.runtime.devices import Device
from ctkd_cli.settings import validation
from ctkd_cli.settings.component import Component, Frozen, available, find
from ctkd_cli.settings.compose import Composed, attempt
from ctkd_cli.settings.literals import decoded
from ctkd_cli.settings.validation import Refused
from ctkd_cli.tasks.fold import Fold
from ctkd_cli.tasks.kinds.base import Kind
from ctkd_cli.tasks.settings import AnyTask, TaskSettings
from ctkd_cli.training.settings import StudentSettings, TeacherSettings, Training

LONGEST_NAME = 80
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")
TASK = (TaskSettings, Kind, Reader)  # whose keys a task's settings hold


# The parts that are composed of components, with all that their settings hold.
PARTS: Mapping[str, tuple[type[Frozen], ...]] = {
    "source": TASK,
    "target": TASK,
    "teacher": (TeacherSettings, Backbone),
    "student": (StudentSettings, Backbone),
    "loss": (Loss,),
    "bridge": (Bridge,),
    "schedule": (Schedule,),
}


class Sources(Frozen):
    """Several source tasks, by name; the class of a real one has a field for each."""

    def by_name(self) -> dict[str, AnyTask]:
        fields = type(self).model_fields
        return {str(field.alias): getattr(self, name) for name, field in fields.items()}


class AnyTeacher(TeacherSettings, Backbone):
    """The static type of a teacher's settings; the class of a real one is composed."""


class AnyStudent(StudentSettings, Backbone):
    """The same of a student's."""


class Controls(Frozen):
    """Arms beside distilled and student-alone, which always run. arms: those that ask where a gain
    comes from; rivals: what one would take instead of a distilled student."""

    arms: tuple[ControlName, ...] = ()
    rivals: tuple[RivalName, ...] = QUICK


class Experiment(Frozen):
    """Everything that decides a run."""

    source: AnyTask | Sources
    target: AnyTask
    teacher: AnyTeacher
    student: AnyStudent
    loss: Loss
    bridge: Bridge
    schedule: Schedule
    device: Device = Device()
    training: Training = Training()
    controls: Controls = Controls()
    lambda_: Annotated[float, Field(ge=0, alias="lambda")] = 1.0
    on_conflict: Literal["keep", "drop", "project"] = Field(
        "keep", description="what happens to a distillation gradient that points against CE's"
    )
    fusion: Fusion = Field("leep", description="how several sources are put together")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    seeds: Annotated[int, Field(ge=1, le=1000)] = Field(
        3, description="how many seeds one run takes: seed, seed + 1, and so on"
    )
    evaluation: Literal["test", "folds"] = Field(
        "test",
        description="test: on the target's test split; folds: on every labelled example, each by a "
        "student that has not seen it",
    )
    folds: Annotated[int, Field(ge=2, le=100)] = Field(
        5, description="with evaluation=folds: how many parts"
    )
    reuse: bool = Field(
        True, description="take arms that were trained with the very same settings from the cache"
    )
    select: Literal["distilled", "best_arm"] = Field(
        "distilled",
        description="the arm that student/ holds; best_arm: the best of the student's architecture "
        "on labelled examples that it has not learnt from, never by test",
    )
    tracker: Tracker = Field("none", description="where trainings are told to, beside the run")
    name: str = Field("run", description="ends the name of the run's directory")

    @field_validator("name")
    @classmethod
    def _name_of_a_folder(cls, value: str) -> str:
        if NAME.fullmatch(value):
            return value
        close = re.sub(r"[^A-Za-z0-9_.-]+", "-", value).lstrip("-_.")[:LONGEST_NAME]
        raise Refused(
            Problem(
                "this cannot be part of a folder's name",
                where="name",
                got=repr(value)[:200],
                allowed=f"letters, digits, - _ and ., the first a letter or digit, at most "
                f"{LONGEST_NAME} in all",
                remedy=f"name={close or 'run'}",
            )
        )

    def seed_runs(self) -> list[Experiment]:
        """This experiment once for each of its seeds."""
        return [
            self.model_copy(update={"seed": self.seed + number, "seeds": 1})
            for number in range(self.seeds)
        ]

    @property
    def parts(self) -> tuple[Fold | None, ...]:
        """The folds of each seed; one None where the test split is used."""
        if self.evaluation == "test":
            return (None,)
        return tuple(Fold(number, self.folds) for number in range(self.folds))

    @property
    def sources(self) -> dict[str, AnyTask]:
        """The source tasks by name; a single one is called `source`."""
        if isinstance(self.source, Sources):
            return self.source.by_name()
        return {"source": self.source}

    @model_validator(mode="after")
    def _backbones_read_the_tasks(self) -> Experiment:
        problems = [
            Problem(
                f"this {role} cannot read {task.kind}",
                where=f"{role}.backbone",
                got=getattr(model, "backbone", ""),
                allowed=f"a backbone that reads {task.kind}",
                remedy=f"ctkd list {role}",
            )
            for role, model, task in (
                *(("teacher", self.teacher, source) for source in self.sources.values()),
                ("teacher", self.teacher, self.target),
                ("student", self.student, self.target),
            )
            # A part that could not be resolved is plain data, and has been reported.
            if isinstance(task, Kind) and isinstance(model, Backbone)
            if task.modality not in model.reads
        ]
        problems = problems or [
            Problem(
                f"a teacher of kind {source.kind} does not answer as kind {self.target.kind} asks",
                where=f"{source.role}.kind",
                got=source.kind,
                allowed=self.target.kind,
                remedy=f"{source.role}.kind={self.target.kind}, and data with such labels",
            )
            for source in self.sources.values()
            if isinstance(source, Kind) and isinstance(self.target, Kind)
            if (source.modality, source.architecture)
            != (self.target.modality, self.target.architecture)
        ]
        if problems:
            raise Refused(*dict.fromkeys(problems))
        return self


def load(settings: Mapping[str, Any]) -> Experiment:
    """Validate a plain mapping.

    Raises InputError with every problem: unknown keys (with the nearest key), wrong types, values
    out of range, unknown parts.
    """
    settings = _spread(decoded(settings))
    composer = _Composer(settings)
    fields: dict[str, Any] = {
        part: (composer.type_of(part, *bases), ...)
        for part, bases in PARTS.items()
        if part != "source"
    }
    model = create_model(
        "Experiment", __base__=Experiment, source=(composer.type_of_sources(), ...), **fields
    )
    try:
        experiment = model.model_validate(settings)
    except ValidationError as error:
        found = validation.problems(model, error)
        raise InputError(*composer.problems, *found) from None
    if composer.problems:
        raise InputError(*composer.problems)
    return experiment


def type_of_option(group: str, settings: Mapping[str, Any]) -> type[Frozen]:
    """The class of one part of an experiment whose plain settings name its components; they may
    lack what only a run needs. Raises InputError for a component that is not there."""
    composer = _Composer(settings)
    bases = PARTS.get(group)
    found = composer.type_of(group, *bases) if bases else Experiment.model_fields[group].annotation
    if composer.problems:
        raise InputError(*composer.problems)
    assert isinstance(found, type)
    return found


def _several(source: Any) -> list[str]:
    """The names of several source tasks; [] when `source` is one task."""
    if not isinstance(source, Mapping) or "kind" in source:
        return []
    return [name for name, task in source.items() if isinstance(task, Mapping) and "kind" in task]


def _spread(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings in which a key beside several sources, such as source.limit, is each source's own,
    unless it has one."""
    source = settings.get("source")
    names = _several(source)
    if not names:
        return settings
    assert isinstance(source, Mapping)
    shared = {key: value for key, value in source.items() if key not in names}
    return {**settings, "source": {name: {**shared, **source[name]} for name in names}}


def of_overrides(overrides: Sequence[str]) -> Experiment:
    """The experiment that a command line asks for. Raises InputError with every problem."""
    return of_composed(attempt(overrides))


def of_composed(composed: Composed) -> Experiment:
    """The same, of what was composed already."""
    problems = list(composed.problems)
    try:
        experiment = load(composed.settings)
        if not problems:
            return experiment
    except InputError as error:
        unknown = {problem.where for problem in problems}  # the keys of an unknown option are too
        problems += [p for p in error.problems if p.where.partition(".")[0] not in unknown]
    raise InputError(*problems)


def of_jobs(jobs: Sequence[Sequence[str]], others: Sequence[Problem] = ()) -> list[Experiment]:
    """Every job's settings. Raises InputError with all problems of all jobs at once, and with those
    found by others."""
    experiments: list[Experiment] = []
    problems = list(others)
    for overrides in jobs:
        try:
            experiments.append(of_overrides(overrides))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return experiments


class _Composer:
    """Makes the type of each part of an experiment from the names that the settings choose."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self.problems: list[Problem] = []
        self.unresolved: set[tuple[str, ...]] = set()  # parts that could not be typed

    def type_of_sources(self) -> Any:
        """The class of the source task, or of several: a mapping of tasks."""
        values = self._settings.get("source")
        names = _several(values)
        if not names:
            return self.type_of("source", *TASK)
        assert isinstance(values, Mapping)
        fields: dict[str, Any] = {
            f"source_{number}": (
                self.type_of(f"source.{name}", *TASK, values=values[name]), Field(alias=str(name))
            )
            for number, name in enumerate(names)
        }  # fmt: skip
        return create_model("Sources", __base__=Sources, **fields)

    def type_of(
        self, part: str, *bases: type[Frozen], values: Mapping[str, Any] | None = None
    ) -> Any:
        """A class with the fields of all `bases`, each sort of component among them replaced by
        the one that the settings name. `values`: the part's own, when they are not at its key."""
        values = self._settings.get(part) if values is None else values
        if not isinstance(values, Mapping):
            return bases[0]  # pydantic will say that it is missing or no mapping
        chosen: list[type[Frozen]] = []
        for base in bases:
            if not issubclass(base, Component):
                chosen.append(base)
            elif (resolved := self._resolve(part, base, values)) is not None:
                chosen.append(resolved)
            else:
                self.unresolved.add((part,))
        if (part,) in self.unresolved:
            return Any
        name = part.rpartition(".")[2].capitalize()
        return type(name, tuple(chosen), {"__module__": __name__, "role": part})

    def _resolve(
        self, part: str, base: type[Component], values: Mapping[str, Any]
    ) -> type[Component] | None:
        where = f"{part}.{base.selector}"
        if base.selector not in values:
            names = ", ".join(available(base))
            self.problems.append(Problem("missing setting", where=where, allowed=names))
            return None
        try:
            return find(base, values[base.selector], where)
        except InputError as error:
            self.problems.extend(error.problems)
            return None
