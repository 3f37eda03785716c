"""The story of one run, top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli import (
    ablation,
    arms,
    compatibility,
    console,
    controls,
    devices,
    environment,
    interruption,
    predictions,
    reports,
)
from ctkd_cli import sources as source_side
from ctkd_cli import task as tasks
from ctkd_cli.bridges.base import stacked
from ctkd_cli.config_files import user_config_dir
from ctkd_cli.reports.results import WITHOUT
from ctkd_cli.rundir import RunDirectory, write_atomically
from ctkd_cli.teacher import arm_of
from ctkd_cli.terms import Crossing, Voice, cross, hint_of

if TYPE_CHECKING:
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.task import Task


def run(experiment: Experiment, directory: Path, overrides: Sequence[str]) -> Mapping[str, float]:
    """Run an experiment and leave its run directory. Returns the figures of metrics.json.

    Raises InputError before anything is trained or written when the settings and the data do not
    go together; RunFailed when the run began and could not end; Interrupted.
    """
    sources = source_side.load(experiment)
    target = tasks.load(experiment.target, experiment.seed)
    taught = source_side.taught(experiment, sources)
    compatibility.require(experiment, taught, target)
    devices.resolve(experiment.device)
    devices.set_threads(experiment.device)

    with _running(directory, experiment, sources) as rundir:
        classroom = arms.Classroom.open(experiment, target)
        _write_provenance(rundir, experiment, overrides)
        _tell_facts(rundir, "target", target, classroom.truncated())

        heard = source_side.hear(experiment, taught, target, rundir)
        said = []
        for name, (teacher, _) in heard.items():
            source, title = taught[name], arm_of(name if len(heard) > 1 else "")
            _tell_facts(rundir, "source", source, teacher.truncated, name=name, arm=title)
            seed = experiment.teacher.seed
            said.append(predictions.table(title, seed, source, teacher.test_logits))
        voices = [voice for _, voice in heard.values()]
        crossing = cross(experiment, target, voices)
        _tell_crossing(rundir, crossing)
        _tell_hints(rundir, target, voices)

        students = (arms.Arm("alone"), arms.Arm("distilled", terms=crossing.terms))
        without = ablation.leave_one_out(experiment, sources, target, voices, rundir)
        others = controls.of(experiment, taught, target, crossing.terms, rundir)
        for arm in chain(students, without, others):
            if isinstance(arm, arms.Answered):
                logits = arm.logits
            else:
                student = classroom.teach(arm, rundir)
                logits = classroom.examine(student)
                if arm.name == "distilled":
                    classroom.save(student, rundir.path / "student")
            said.append(predictions.table(arm.name, experiment.seed, target, logits))

        with rundir.stage("evaluation"):
            predictions.write(rundir.path / "predictions.parquet", said)
            metrics = reports.write_reports(rundir.path)
    reports.print_summary(directory)
    return metrics


@contextmanager
def _running(
    directory: Path, experiment: Experiment, sources: Mapping[str, Task]
) -> Iterator[RunDirectory]:
    """A run directory whose status tells the truth however the run ends."""
    apart = len(sources) > 1 and experiment.fusion != "merge"
    teachers = [f" {name}" for name in sources] if apart else [""]
    left_out = [f"student {WITHOUT}{name}" for name in sources] if len(sources) > 1 else []
    titles = [
        *(f"{stage}{name}" for name in teachers for stage in ("teacher", "knowledge")),
        "student alone",
        "student distilled",
        *left_out,
        *(f"control {name}" for name in experiment.controls.arms),
        "evaluation",
    ]
    with console.display(titles) as display, interruption.remembered():
        rundir = RunDirectory(directory, display)
        try:
            yield rundir
        except KeyboardInterrupt:
            rundir.note("interrupted; the teacher and its knowledge are kept if they were complete")
            rundir.finish("interrupted")
            raise
        except BaseException as error:
            rundir.finish("failed", f"{type(error).__name__}: {error}")
            raise
        rundir.finish("complete")


def _write_provenance(
    rundir: RunDirectory, experiment: Experiment, overrides: Sequence[str]
) -> None:
    """What was asked for, and what it ran on."""
    rundir.write_yaml("config.yaml", experiment.model_dump(mode="json", by_alias=True))
    rundir.write_yaml("overrides.yaml", list(overrides))
    models = {"teacher": experiment.teacher, "student": experiment.student}
    weights = {role: backbone.fingerprint() for role, backbone in models.items()}
    facts = {**environment.describe(), "config_dir": user_config_dir(), "backbones": weights}
    rundir.write_json("environment.json", facts)
    sizes = {role: {"parameters": model.size().parameters} for role, model in models.items()}
    rundir.event("data", "models", **sizes)


def _tell_facts(
    rundir: RunDirectory, role: str, task: Task, truncated: dict[str, int], **more: str
) -> None:
    """What the reports say of a task, as an event; `truncated` as its reader counted it."""
    called = more.get("name", role)
    for note in task.notes:
        rundir.note(f"{called}: {note}")
    for split, n in truncated.items():
        if n:
            rundir.note(f"{called}: {n} of {split} lost content to the length limit")
    rundir.event(
        "data",
        "facts",
        role=role,
        kind=task.settings.kind,
        reader=task.readers,
        licence=task.licences,
        labels=list(task.labels),
        counts=task.counts(),
        unlabelled=len(task.train) - len(task.labelled),
        truncated=truncated,
        notes=list(task.notes),
        fingerprint=task.fingerprint,
        **more,
    )


def _tell_crossing(rundir: RunDirectory, crossing: Crossing) -> None:
    """label_map.csv, and what the reports say of it."""
    label_map = stacked(crossing.label_maps)
    write_atomically(rundir.path / "label_map.csv", label_map.to_csv())
    rundir.event(
        "bridge",
        "done",
        coverage=label_map.coverage,
        entropy=label_map.entropy.tolist(),
        hash=label_map.hash(),
        shares=crossing.shares,
        weights={term.name: float(term.weight.mean()) for term in crossing.terms},
    )
    if unmapped := label_map.unmapped:
        rundir.note(f"source labels that lead nowhere: {', '.join(unmapped)}")
    if unreached := label_map.unreached:
        rundir.note(f"target labels that no source label leads to: {', '.join(unreached)}")


def _tell_hints(rundir: RunDirectory, target: Task, voices: Sequence[Voice]) -> None:
    """Whether the teachers' words fit the target's labels, before any student has heard them."""
    for voice in voices:
        found = hint_of(voice, target)
        rundir.event("transfer", "hint", name=voice.name, **asdict(found))
