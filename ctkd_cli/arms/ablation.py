"""What each of several sources brings: the distilled student again, with one of them left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ctkd_cli.arms.adaptation import adapted
from ctkd_cli.arms.bridged_knowledge import apply_bridge
from ctkd_cli.arms.sources import ask_teachers, taught
from ctkd_cli.arms.student import Arm
from ctkd_cli.evaluation.arm_names import WITHOUT

if TYPE_CHECKING:
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task


def leave_one_out(
    experiment: Experiment,
    sources: Mapping[str, Task],
    target: Task,
    pool: Callable[[], Split],
    teachers: Sequence[Knowledge],
    rundir: RunDirectory,
) -> Iterator[Arm]:
    """An arm `without_NAME` for each source, where there are several. `teachers` are those that the
    run has; merged sources need another teacher without the one left out."""
    if len(sources) < 2:
        return
    for left_out in sources:
        rest = [each for each in teachers if each.teacher != left_out]
        if experiment.fusion == "merge":
            others = {name: task for name, task in sources.items() if name != left_out}
            asked = ask_teachers(experiment, taught(experiment, others), pool(), rundir)
            rest = adapted(experiment, target, asked, rundir)
        bridged = apply_bridge(experiment, target, rest)
        yield Arm(f"{WITHOUT}{left_out}", terms=bridged.terms, taught=bridged.key)
