"""One job of a sweep, as Hydra's launchers call it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctkd_cli.cli._directories import is_complete, require_free
from ctkd_cli.runtime import parallel, variables

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import Listener


def run_job(config: DictConfig) -> float:
    """The job's score, for sweepers that ask for it; NaN when there is none.

    Failures are kept from Hydra, which would print them in its own way and stop: the job's
    status.json tells of them.
    """
    from hydra.core.hydra_config import HydraConfig

    from ctkd_cli.errors import Pruned
    from ctkd_cli.experiment import load
    from ctkd_cli.preflight.checks import check
    from ctkd_cli.runs.rundir import write_refusal
    from ctkd_cli.settings.compose import settings_of
    from ctkd_cli.settings.overrides import as_typed
    from ctkd_cli.sweep.launchers import RESUME_VARIABLE
    from ctkd_cli.sweep.search import objective

    variables.remove()  # this may be another machine than the one that was asked
    job = HydraConfig.get()
    directory = Path(job.runtime.output_dir)
    typed = as_typed(job.overrides.task)
    try:
        experiment = load(settings_of(config))
        if os.environ.get(RESUME_VARIABLE):
            if is_complete(directory, experiment):
                return objective(directory)
        else:
            require_free(directory, "hydra.sweep.dir")  # its name may have been ${...} until now
        checked = check(experiment, directory)  # before the imports that take seconds
        from ctkd_cli.run import run as run_experiment

        run_experiment(checked, directory, typed, _judge(job, experiment), among=True)
        return objective(directory) if parallel.is_main() else float("nan")
    except Pruned:
        return float("nan")
    except Exception as error:
        if parallel.world() > 1:
            raise  # the other processes wait for this one, until it ends
        if not (directory / "status.json").exists():
            write_refusal(directory, typed, str(error))
        return float("nan")


def _judge(job: Any, experiment: Experiment) -> Listener | None:
    """A trial of a search may be pruned; other jobs may not. job: Hydra's settings of it."""
    from omegaconf import OmegaConf

    from ctkd_cli.sweep import search

    if job.runtime.choices["hydra/sweeper"] != search.NAME:
        return None
    from ctkd_cli.sweep.search.judge import judge_of

    settings: Any = OmegaConf.to_container(job.sweeper)
    return judge_of(settings, Path(job.sweep.dir), job.job.num, experiment.seeds)
