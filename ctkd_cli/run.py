"""The story of one run, top to bottom."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ctkd_cli import reports
from ctkd_cli.arms import ablation, controls, efficiency, record, rivals, selection, ways
from ctkd_cli.arms.adaptation import adapted
from ctkd_cli.arms.bridged_knowledge import BridgedKnowledge, apply_bridge
from ctkd_cli.arms.cut_vocabulary import student_of
from ctkd_cli.arms.encoded_task import EncodedTask
from ctkd_cli.arms.keys import knowledge_key, target_pool
from ctkd_cli.arms.sources import ask_teachers
from ctkd_cli.arms.student import Arm, ArmOutputs, train_arm
from ctkd_cli.arms.teacher import Teacher, extract_knowledge
from ctkd_cli.cache import eviction, pins
from ctkd_cli.cache.entries import link_tree
from ctkd_cli.errors import Pruned, RunFailed
from ctkd_cli.evaluation import predictions
from ctkd_cli.evaluation.arm_names import ON_TARGET, WITHOUT
from ctkd_cli.preflight.estimate import estimate
from ctkd_cli.runs import console
from ctkd_cli.runs.rundir import RunDirectory, SeedRun
from ctkd_cli.runtime import devices, interruption, memory, parallel

if TYPE_CHECKING:
    import pyarrow as pa

    from ctkd_cli.arms.efficiency import Efficiency
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.preflight.checks import Checked
    from ctkd_cli.runs.rundir import Listener
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task

Teachers = Mapping[str, tuple[Teacher, "Knowledge"]]  # by source, with what each said


def run(
    checked: Checked,
    directory: Path,
    overrides: Sequence[str],
    listener: Listener | None = None,
    among: bool = False,
) -> Mapping[str, float]:
    """Run an experiment and leave its run directory. Returns the figures of metrics.json.

    listener: is told all that happens; may raise Pruned. among: whether its settings stand beside
    others, and some are to be chosen. Raises RunFailed when the run began and could not end;
    Interrupted.
    """
    experiment, sources, taught = checked.experiment, checked.sources, checked.taught
    seed_runs, targets = [*checked.seed_runs], checked.targets
    devices.set_threads(experiment.device)
    reports.get_ready()
    memory.freeze_gc()

    with _running(directory, experiment, sources, targets[0], listener) as rundir:
        record.provenance(rundir, experiment, overrides)
        if devices.resolve(experiment.device).type == "cpu":  # of others nothing is known before
            cost = estimate(experiment, taught, targets[0])
            rundir.tell(f"estimated time: {cost.sentence}")
            if cost.is_long and (setting := devices.quicker(experiment.device)):
                rundir.tell(f"{setting} is quicker here, in bfloat16")
        student = student_of(experiment, targets, list(sources.values()), rundir)
        experiment, *seed_runs = (
            each.model_copy(update={"student": student}) for each in (experiment, *seed_runs)
        )
        pool = partial(target_pool, *targets)
        memory.release()
        teachers = ask_teachers(experiment, taught, pool(), rundir)
        answers = list(_teachers_on_their_own_tasks(experiment, taught, teachers, rundir))
        encoded = None
        folds = [fold for _ in experiment.seed_runs() for fold in experiment.parts]
        for position, (seed_run, target) in enumerate(zip(seed_runs, targets, strict=True)):
            with rundir.seed_run(SeedRun(seed_run.seed, position, len(seed_runs), folds[position])):
                encoded = EncodedTask.of(target, seed_run.student, seed_run.device, encoded)
                answers += _one_seed(
                    seed_run, encoded, sources, taught, teachers, pool, rundir, among
                )
        metrics: Mapping[str, float] = {}
        with rundir.stage("evaluation"):
            if parallel.is_main():
                with parallel.alone():
                    predictions.write(rundir.path / "predictions.parquet", answers)
                    metrics = reports.write_reports(rundir.path)
    return parallel.share(metrics)


def _teachers_on_their_own_tasks(
    experiment: Experiment,
    taught: Mapping[str, Task],
    teachers: Teachers,
    rundir: RunDirectory,
) -> Iterator[pa.Table]:
    """Each teacher on its source's test split."""
    for name, (teacher, _) in teachers.items():
        source = taught[name]
        record.facts(rundir, "source", source, teacher.truncated, name=name, arm=teacher.arm)
        record.on_validation(rundir, teacher.arm, source, teacher.validation_logits)
        yield predictions.table(teacher.arm, experiment.teacher.seed, source, teacher.test_logits)


def _one_seed(
    experiment: Experiment,
    encoded: EncodedTask,
    sources: Mapping[str, Task],
    taught: Mapping[str, Task],
    teachers: Teachers,
    pool: Callable[[], Split],
    rundir: RunDirectory,
    among: bool,
) -> Iterator[pa.Table]:
    """The teachers through the bridge, and every arm, on target test."""
    target = encoded.task
    first = rundir.is_first_seed
    if first:
        record.facts(rundir, "target", target, encoded.truncated)
    knowledge = adapted(experiment, target, teachers, rundir)
    bridged = apply_bridge(experiment, target, knowledge)
    memory.release()
    record.bridge(rundir, bridged)
    record.hints(rundir, target, [said for _, said in teachers.values()])
    yield _through_the_bridge(experiment, target, teachers, bridged, rundir)

    train = partial(train_arm, experiment, encoded, rundir)
    keep = partial(train, keep_model=first and experiment.select == "best_arm")
    distilled = Arm("distilled", terms=bridged.terms, taught=bridged.key)
    outputs = chain(
        map(keep, (Arm("alone"),)),
        map(partial(train, keep_model=first), (distilled,)),
        map(train, ablation.leave_one_out(experiment, sources, target, pool, knowledge, rundir)),
        controls.Controls(experiment, taught, target, pool, bridged, rundir, keep).outputs(),
        rivals.Rivals(experiment, target, rundir).outputs(),
    )
    said: dict[str, ArmOutputs] = {}
    for arm in outputs:
        said[arm.name] = replace(arm, logits=arm.logits[:0])  # of a million examples, all arms
        record.on_validation(rundir, arm.name, target, arm.validation)
        yield predictions.table(arm.name, experiment.seed, target, arm.logits)
    again = partial(_again, experiment, taught, teachers, pool, rundir)
    if among and (found := selection.likelihood(target, partial(again, others=()))) is not None:
        rundir.event(selection.STAGE, "likelihood", arm="distilled", log_likelihood=found)
    if first:
        chosen = "distilled"
        if experiment.select == "best_arm":
            candidates = [name for name, arm in said.items() if arm.folder is not None]
            choice = selection.choose(target, said, candidates, partial(again, others=said))
            rundir.event(selection.STAGE, "chosen", **asdict(choice))
            rundir.tell(choice.sentence)
            chosen = choice.arm
        student = said[chosen].folder
        assert student is not None, "it was to be kept"
        if parallel.is_main():
            with parallel.alone():
                _keep_and_time(experiment, encoded, student, teachers, rundir)


def _again(
    experiment: Experiment,
    taught: Mapping[str, Task],
    teachers: Teachers,
    pool: Callable[[], Split],
    rundir: RunDirectory,
    part: Task,
    number: int,
    others: Collection[str],
) -> Iterator[ArmOutputs]:
    """The distilled student and those other arms that took part, once more, on a part's task."""
    read = EncodedTask.of(part, experiment.student, experiment.device)
    bridged = apply_bridge(experiment, part, adapted(experiment, part, teachers, rundir))

    def train(arm: Arm) -> ArmOutputs:
        title = f"{arm.name}, part {number + 1}"
        named = replace(arm, name=title, stage=selection.STAGE)
        return replace(train_arm(experiment, read, rundir, named), name=arm.name)

    yield train(Arm("distilled", terms=bridged.terms, taught=bridged.key))
    if not others:
        return
    yield train(Arm("alone"))
    yield from controls.Controls(experiment, taught, part, pool, bridged, rundir, train).outputs()
    there = tuple(name for name in experiment.controls.rivals if name in others)
    beside = experiment.controls.model_copy(update={"rivals": there})
    told = experiment.model_copy(update={"controls": beside})
    yield from rivals.Rivals(told, part, rundir).outputs()


# What using a teacher and a student costs, as this process measured it. Their sizes decide it and
# not their weights, so that jobs of a sweep share it.
_costs: dict[tuple[str, ...], Mapping[str, Efficiency]] = {}


def _keep_and_time(
    experiment: Experiment,
    encoded: EncodedTask,
    student: Path,
    teachers: Teachers,
    rundir: RunDirectory,
) -> None:
    """The student that is handed over, and what it costs beside its teacher."""
    target = encoded.task
    link_tree(student, rundir.path / "student")
    (teacher, _), *_ = teachers.values()
    read = knowledge_key(experiment, teacher.key, target.test)
    sizes = (experiment.student.fingerprint(), str(len(target.labels)))
    key = (read, *sizes, experiment.device.model_dump_json())
    if key not in _costs:
        candidates = {
            "teacher": teacher.candidate(experiment, target.test),
            "student": encoded.candidate(student),
        }
        _costs[key] = efficiency.side_by_side(candidates)
    record.efficiency(rundir, _costs[key])


def _through_the_bridge(
    experiment: Experiment,
    target: Task,
    teachers: Teachers,
    bridged: BridgedKnowledge,
    rundir: RunDirectory,
) -> pa.Table:
    """What the teachers themselves say of target test, in the target's labels."""
    of_test = {
        name: extract_knowledge(experiment, teacher, target.test, rundir, of_test=True)
        for name, (teacher, _) in teachers.items()
    }
    logits = bridged.opinion(of_test, target.test)
    return predictions.table(ON_TARGET, experiment.seed, target, logits)


@contextmanager
def _running(
    directory: Path,
    experiment: Experiment,
    sources: Mapping[str, Task],
    target: Task,
    listener: Listener | None,
) -> Iterator[RunDirectory]:
    """A run directory whose status tells the truth however the run ends."""
    apart = len(sources) > 1 and experiment.fusion != "merge"
    teachers = [f" {name}" for name in sources] if apart else [""]
    left_out = [f"student {WITHOUT}{name}" for name in sources] if len(sources) > 1 else []
    titles = [
        *(f"{stage}{name}" for name in teachers for stage in ("teacher", "knowledge")),
        *(each for name in teachers for each in ways.titles(experiment, target, name.strip())),
        *(f"evaluation teacher{name}" for name in teachers),
        "student alone",
        "student distilled",
        *left_out,
        *(title for name in experiment.controls.arms for title in controls.stages(name)),
        *(f"{rivals.STAGE} {name}" for name in experiment.controls.rivals),
        "evaluation",
    ]
    with (
        console.display(list(dict.fromkeys(titles))) as display,
        interruption.remembered(),
        pins.working(str(directory)),
        _own_directory(directory) as own,
    ):
        rundir = RunDirectory(own, display, experiment.tracker, listener)
        try:
            yield rundir
            if gone := eviction.evict():
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
