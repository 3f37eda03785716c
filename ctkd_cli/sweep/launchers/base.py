"""What all launchers share: a job that can be sent away, and what is said of jobs that die."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher as HydraLauncher
from hydra.plugins.plugin import Plugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ctkd_cli.runs.rundir import status_of, write_refusal
from ctkd_cli.runtime import waiting
from ctkd_cli.settings.overrides import as_typed

PLUGINS = "hydra_plugins.ctkd"  # under which name Hydra finds our plugins
RESUME_VARIABLE = "CTKD_RESUME"  # set for jobs that go on where they were
CONSOLE = "console.log"  # what a job would have said to a terminal
# Variables that jobs get from here.
CARRIED = ("CTKD_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", *waiting.CHOICES)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Died:
    """Why a job came to no end of its own: its process was killed, a machine went away."""

    reason: str


@dataclass(frozen=True)
class Job:
    """A job of a sweep, ready to be called in another process.

    threads: for torch, unless the job's settings name a number. parent: host and process without
    which the job ends too; none on a cluster, where jobs outlive the command that sent them.
    """

    number: int
    overrides: Sequence[str]
    config: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction
    state: Mapping[Any, Any]
    threads: int | None = None
    parent: tuple[str, int] | None = None
    folder: str = field(default_factory=os.getcwd)
    variables: Mapping[str, str] = field(default_factory=lambda: _carried(os.environ))

    def __call__(self) -> JobReturn:
        os.chdir(self.folder)
        os.environ.update(self.variables)
        self._watch_parent()
        self._take_threads()
        setup_globals()
        Singleton.set_state(dict(self.state))
        config = self.composed()
        directory = _directory(config)
        directory.mkdir(parents=True, exist_ok=True)
        with (
            (directory / CONSOLE).open("a", encoding="utf-8", buffering=1) as stream,
            contextlib.redirect_stdout(stream),
            contextlib.redirect_stderr(stream),
        ):
            return run_job(
                hydra_context=self.hydra_context,
                task_function=self.task_function,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )

    def again(self) -> Job:
        """The same job, to go on where it was."""
        return replace(self, variables={**self.variables, RESUME_VARIABLE: "1"})

    def checkpoint(self) -> Any:
        """What submitit puts into the queue again when SLURM takes this job's time away."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self.again())

    def composed(self) -> DictConfig:
        """The job's settings, Hydra's among them."""
        config = self.hydra_context.config_loader.load_sweep_config(
            self.config, list(self.overrides)
        )
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{self.number}"
            config.hydra.job.num = self.number
        return config

    @property
    def directory(self) -> Path:
        return _directory(self.composed())

    def _watch_parent(self) -> None:
        """End with the parent, even when it was killed. One watcher is enough for a process that
        takes many jobs."""
        if self.parent is None or self.parent[0] != socket.gethostname():
            return
        name = f"parent {self.parent[1]}"
        if all(thread.name != name for thread in threading.enumerate()):
            threading.Thread(target=_end_with, args=self.parent[1:], name=name, daemon=True).start()

    def _take_threads(self) -> None:
        if self.threads is None:
            return
        for variable in THREADS:  # before numpy and torch are imported
            os.environ[variable] = str(self.threads)
        import torch

        torch.set_num_threads(self.threads)


class Launcher(HydraLauncher):
    """A Hydra launcher whose jobs run elsewhere. Its settings are those of `hydra.launcher`."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs, wait for them, and return what they gave: NaN for those that died."""
        setup_globals()
        state = Singleton.get_state()
        jobs = {
            number: Job(
                number, list(each), self.config, self.hydra_context, self.task_function, state
            )
            for number, each in enumerate(job_overrides, initial_job_idx)
        }
        returned: dict[int, JobReturn] = {}
        for number, end in self.run(list(jobs.values())):
            job = jobs[number]
            if isinstance(end, Died):
                _bury(job, end)
                end = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
                end.return_value = float("nan")
            returned[number] = end
        return [returned[number] for number in jobs]

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, JobReturn | Died]]:
        """Call the jobs elsewhere; their numbers and ends, as they end."""


def add_plugin(plugin: type[Plugin], group: str, option: str, settings: type) -> None:
    """Make a plugin of ours an option of one of Hydra's groups, in this process."""
    known = Plugins.instance().class_name_to_class
    name = f"{PLUGINS}.{plugin.__name__}"  # Hydra takes none from elsewhere
    if name not in known:
        known[name] = plugin
        ConfigStore.instance().store(group=group, name=option, node=settings, provider="ctkd")


def at_once(n_jobs: int, jobs: Sequence[Job]) -> int:
    """How many jobs run side by side on this machine; n_jobs: -1 is one for each core."""
    return max(1, min(cores() if n_jobs < 0 else n_jobs, len(jobs)))


def side_by_side(jobs: Sequence[Job], n: int, threads: int | None = None) -> list[Job]:
    """Jobs of which n run on this machine at once: each has its share of the cores, unless
    `threads` says otherwise, and ends with this process."""
    share = threads or max(1, cores() // n)
    return [replace(job, threads=share, parent=(socket.gethostname(), os.getpid())) for job in jobs]


def cores() -> int:
    """Cores that this process may use."""
    from joblib import cpu_count

    return int(cpu_count())  # knows affinity and the limits of containers


def _bury(job: Job, end: Died) -> None:
    """Leave word of a job whose process died, unless it had its own last word."""
    status = status_of(job.directory).get("status")
    if status in (None, "running"):
        job.directory.mkdir(parents=True, exist_ok=True)
        write_refusal(job.directory, as_typed(_ours(job.overrides)), end.reason)


def _ours(overrides: Sequence[str]) -> list[str]:
    return [each for each in overrides if not each.lstrip("+").startswith(("hydra.", "hydra/"))]


def _directory(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir, str(config.hydra.sweep.subdir))


def _carried(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith(CARRIED)}


def _end_with(parent: int) -> None:
    while True:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(1)
        except PermissionError:
            pass
        time.sleep(WATCH_SECONDS)
