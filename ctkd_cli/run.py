"""The story of one run, top to bottom."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli import reports
from ctkd_cli.arms import ablation, controls, record, student
from ctkd_cli.arms import sources as source_side
from ctkd_cli.arms.crossing import Crossing, cross
from ctkd_cli.arms.keys import knowledge_key, target_pool
from ctkd_cli.arms.teacher import Teacher, arm_of, listen
from ctkd_cli.cache import eviction, pins
from ctkd_cli.cache.entries import link_tree
from ctkd_cli.distillation.terms import Voice
from ctkd_cli.errors import RunFailed
from ctkd_cli.evaluation import predictions
from ctkd_cli.evaluation.arm_names import ON_TARGET, WITHOUT
from ctkd_cli.evaluation.efficiency import side_by_side
from ctkd_cli.runs import console
from ctkd_cli.runs.pruning import Pruned
from ctkd_cli.runs.rundir import RunDirectory, Turn
from ctkd_cli.runtime import devices, interruption, memory, parallel

if TYPE_CHECKING:
    import pyarrow as pa

    from ctkd_cli.evaluation.efficiency import Efficiency
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.preflight.checks import Admitted
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task


def run(admitted: Admitted, directory: Path, overrides: Sequence[str]) -> Mapping[str, float]:
    """Run an experiment and leave its run directory. Returns the figures of metrics.json.

    Raises RunFailed when the run began and could not end; Interrupted.
    """
    experiment, sources, taught = admitted.experiment, admitted.sources, admitted.taught
    turns, targets = admitted.turns, admitted.targets
    devices.set_threads(experiment.device)
    memory.spare_collector()

    with _running(directory, experiment, sources) as rundir:
        record.provenance(rundir, experiment, overrides)
        pool = partial(target_pool, *targets)
        memory.give_back()
        heard = source_side.hear(experiment, taught, pool(), rundir)
        said = list(_teachers_say(experiment, taught, heard, rundir))
        classroom = None
        for position, (turn, target) in enumerate(zip(turns, targets, strict=True)):
            with rundir.turn(Turn(turn.seed, position, len(turns))):
                classroom = student.Classroom.open(turn, target, classroom)
                said += _taught(classroom, sources, taught, heard, pool, rundir)
        metrics: Mapping[str, float] = {}
        with rundir.stage("evaluation"):
            if parallel.is_main():
                with parallel.alone():
                    predictions.write(rundir.path / "predictions.parquet", said)
                    metrics = reports.write_reports(rundir.path)
    return parallel.share(metrics)


def _teachers_say(
    experiment: Experiment,
    taught: Mapping[str, Task],
    heard: Mapping[str, tuple[Teacher, Voice]],
    rundir: RunDirectory,
) -> Iterator[pa.Table]:
    """Each teacher on its own task."""
    for name, (teacher, _) in heard.items():
        source, title = taught[name], arm_of(name if len(heard) > 1 else "")
        record.facts(rundir, "source", source, teacher.truncated, name=name, arm=title)
        record.on_validation(rundir, title, teacher.validation_logits, source.validation.labels)
        yield predictions.table(title, experiment.teacher.seed, source, teacher.test_logits)


def _taught(
    classroom: student.Classroom,
    sources: Mapping[str, Task],
    taught: Mapping[str, Task],
    heard: Mapping[str, tuple[Teacher, Voice]],
    pool: Callable[[], Split],
    rundir: RunDirectory,
) -> Iterator[pa.Table]:
    """One seed: what crosses the bridge, and every arm on target test."""
    experiment, target = classroom.experiment, classroom.target
    first = rundir.is_first_turn
    if first:
        record.facts(rundir, "target", target, classroom.truncated())
    voices = [voice for _, voice in heard.values()]
    crossing = cross(experiment, target, voices)
    memory.give_back()
    record.crossing(rundir, crossing)
    record.hints(rundir, target, voices)
    yield _through_the_bridge(experiment, target, heard, crossing, rundir)

    students = (student.Arm("alone"), student.Arm("distilled", **crossing.as_heard))
    without = ablation.leave_one_out(experiment, sources, target, pool, voices, rundir)
    others = controls.of(experiment, taught, target, pool, crossing, rundir)
    for arm in chain(students, without, others):
        said = arm
        if isinstance(said, student.Arm):
            said = classroom.outcome(said, rundir, keep_model=first and arm.name == "distilled")
        record.on_validation(rundir, said.name, said.validation, target.validation.labels)
        if said.folder is not None and parallel.is_main():
            with parallel.alone():
                _keep_and_time(classroom, said.folder, heard, rundir)
        yield predictions.table(said.name, experiment.seed, target, said.logits)


# What using a teacher and a student costs, as this process measured it. Their sizes decide it and
# not their weights, so that jobs of a sweep share it.
_costs: dict[tuple[str, ...], Mapping[str, Efficiency]] = {}


def _keep_and_time(
    classroom: student.Classroom,
    student: Path,
    heard: Mapping[str, tuple[Teacher, Voice]],
    rundir: RunDirectory,
) -> None:
    """The student that is handed over, and what it costs beside its teacher."""
    experiment, target = classroom.experiment, classroom.target
    link_tree(student, rundir.path / "student")
    (teacher, _), *_ = heard.values()
    read = knowledge_key(experiment, teacher.key, target.test)
    sizes = (experiment.student.fingerprint(), str(len(target.labels)))
    key = (read, *sizes, experiment.device.model_dump_json())
    if key not in _costs:
        candidates = {
            "teacher": teacher.candidate(experiment, target.test),
            "student": classroom.candidate(student),
        }
        _costs[key] = side_by_side(candidates, target.settings, experiment.device)
    record.efficiency(rundir, _costs[key])


def _through_the_bridge(
    experiment: Experiment,
    target: Task,
    heard: Mapping[str, tuple[Teacher, Voice]],
    crossing: Crossing,
    rundir: RunDirectory,
) -> pa.Table:
    """What the teachers themselves say of target test, in the target's labels."""
    of_test = {
        name: listen(experiment, teacher, target.test, rundir, of_test=True)
        for name, (teacher, _) in heard.items()
    }
    logits = crossing.opinion(of_test, target.test.ids)
    return predictions.table(ON_TARGET, experiment.seed, target, logits)


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
        *(f"evaluation teacher{name}" for name in teachers),
        "student alone",
        "student distilled",
        *left_out,
        *(title for name in experiment.controls.arms for title in controls.stages(name)),
        "evaluation",
    ]
    with (
        console.display(list(dict.fromkeys(titles))) as display,
        interruption.remembered(),
        pins.working(str(directory)),
        _own_directory(directory) as own,
    ):
        rundir = RunDirectory(own, display, experiment.tracker)
        try:
            yield rundir
            if gone := eviction.make_room():
                rundir.note(f"the cache is full: {len(gone)} entries unused for longest went")
            rundir.finish("complete")
        except KeyboardInterrupt:
            rundir.note(
                "interrupted; what was complete is kept. Go on with: "
                f"ctkd resume {shlex.quote(str(directory))}"
            )
            rundir.finish("interrupted")
            raise
        except Pruned as hopeless:
            rundir.finish("pruned", str(hopeless))
            raise
        except BaseException as error:
            with contextlib.suppress(OSError):  # of a disk that is full
                rundir.finish("failed", f"{type(error).__name__}: {error}")
            if _is_of_a_full_disk(error):
                raise RunFailed(
                    f"the disk is full ({error}); what was complete is kept. Make room "
                    "(ctkd cache clear --older-than 1d), then: "
                    f"ctkd resume {shlex.quote(str(directory))}"
                ) from error
            raise


@contextmanager
def _own_directory(directory: Path) -> Iterator[Path]:
    """The run directory; of several processes, all but the first one write to a place that is
    thrown away."""
    if parallel.is_main():
        yield directory
        return
    with tempfile.TemporaryDirectory() as thrown_away:
        yield Path(thrown_away)


def _is_of_a_full_disk(error: BaseException) -> bool:
    """Libraries in Rust and C++ raise errors of their own, with the system's words in them."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return os.strerror(errno.ENOSPC) in str(error) or os.strerror(errno.EDQUOT) in str(error)
