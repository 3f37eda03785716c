"""`hydra/sweeper=optuna`: asks Optuna for settings, lets a launcher run them, tells it the scores.

A trial and its job have the same number. A trial is told only when its job is complete or pruned;
one that failed or was interrupted stays open, so that `ctkd resume` runs it again with the same
settings, in the same directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ctkd_cli.runs.rundir import status_of
from ctkd_cli.sweep.launchers.base import PLUGINS

if TYPE_CHECKING:
    from optuna.study import Study

    from ctkd_cli.sweep.search.space import Space

NAME = "optuna"


@dataclass
class SamplerSettings:
    """name: tpe, gp or random. n_startup_trials: how many are random at first."""

    name: str = "tpe"
    seed: int = 1
    n_startup_trials: int = 10


@dataclass
class PrunerSettings:
    """name: median (ends a trial whose scores so far are below the others' median) or none.
    n_startup_trials: how many end first; n_warmup_steps: how many scores of a trial come first."""

    name: str = "median"
    n_startup_trials: int = 5
    n_warmup_steps: int = 0


@dataclass
class SearchSettings:
    """params: keys and the values that they may take. n_jobs: trials asked for at once, which the
    launcher runs side by side. storage: a journal file or a database's URL; null: a file in the
    sweep's directory."""

    _target_: str = f"{PLUGINS}.OptunaSweeper"
    n_trials: int = 20
    n_jobs: int = 1
    storage: str | None = None
    study_name: str | None = None
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    pruner: PrunerSettings = field(default_factory=PrunerSettings)
    params: dict[str, Any] = field(default_factory=dict)


class OptunaSweeper(Sweeper):
    """Ask, launch, tell, until there are n_trials."""

    def __init__(self, **settings: Any) -> None:
        self.launcher: Launcher
        self.config: DictConfig
        self.settings: dict[str, Any] = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in settings.items()
        }

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from ctkd_cli.sweep.search.space import Space
        from ctkd_cli.sweep.search.study import mend, open_study

        directory = Path(self.config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        space = Space.read(arguments, self.settings["params"])
        mend(self.settings, directory)
        study = open_study(self.settings, directory)
        trials = self._trials(study, space)
        while batch := dict(islice(trials, self.settings["n_jobs"])):
            for numbers in _consecutive(list(batch)):
                self.launcher.launch([batch[n] for n in numbers], initial_job_idx=numbers[0])
            for number in batch:
                _tell(study, number, directory / str(number))

    def _trials(self, study: Study, space: Space) -> Iterator[tuple[int, list[str]]]:
        """Numbers and overrides of open trials of before, then of new ones. A trial's settings
        depend on the seed, its number and the trials before it, on nothing else."""
        from optuna.trial import Trial

        from ctkd_cli.sweep.search.study import sampler

        open_ones = {t.number: t for t in study.trials if not t.state.is_finished()}
        new = range(len(study.trials), self.settings["n_trials"])
        for number in (*open_ones, *new):
            study.sampler = sampler(self.settings["sampler"], number)
            known = open_ones.get(number)
            trial = study.ask() if known is None else Trial(study, known._trial_id)
            yield number, [*space.fixed, *(each.suggest(trial) for each in space.dimensions)]


def objective(directory: Path) -> float:
    """What is maximised, of a complete run: the distilled student's log-likelihood of left-out
    labels or, where there is none, its score on validation, negated where less is better; means
    over the run's seeds. NaN without either."""
    from ctkd_cli.sweep.job import LIKELIHOOD, Group, Job

    judged = Group({}, "", (Job.read(directory),))
    for metric in (LIKELIHOOD, judged.metric):
        if (found := judged.unseen(metric)) is not None:
            return metric.merit(found)
    return float("nan")


def _tell(study: Study, number: int, directory: Path) -> None:
    from optuna.trial import TrialState

    status = status_of(directory).get("status")
    if status == "pruned":
        study.tell(number, state=TrialState.PRUNED)
    elif status == "complete":
        study.tell(number, objective(directory))


def _consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """[3, 4, 7] -> [[3, 4], [7]]: a launcher numbers its jobs from one on."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
