"""`hydra/launcher=submitit_local` and `submitit_slurm`: a process, or a SLURM job, for each job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from ctkd_cli.sweep.launchers.base import PLUGINS, Died, Job, Launcher, at_once, side_by_side

POLL_SECONDS = 0.2  # for jobs of this machine; SLURM is asked by submitit, once a minute or so
OURS = ("n_jobs", "max_num_timeout", "submitit_folder")  # settings that are not the executor's


@dataclass
class _Settings:
    """What both kinds can be told, in submitit's words."""

    submitit_folder: str = "${hydra.sweep.dir}/.submitit/%j"
    timeout_min: int = 24 * 60
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    name: str = "ctkd"


@dataclass
class LocalSettings(_Settings):
    """n_jobs: how many jobs run at once; -1: as many as there are cores."""

    _target_: str = f"{PLUGINS}.LocalLauncher"
    n_jobs: int = -1


@dataclass
class SlurmSettings(_Settings):
    """The options of sbatch that submitit knows; others go into additional_parameters.

    max_num_timeout: how often a job that ran out of time is put into the queue again, to go on
    where it was.
    """

    _target_: str = f"{PLUGINS}.SlurmLauncher"
    partition: str | None = None
    qos: str | None = None
    account: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    comment: str | None = None
    cpus_per_gpu: int | None = None
    gpus_per_task: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    array_parallelism: int = 256
    signal_delay_s: int = 120
    max_num_timeout: int = 3
    setup: list[str] | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)


class _SubmititLauncher(Launcher):
    """A submitit executor. Each job's own log is in the sweep's folder `.submitit`."""

    cluster: str

    def _executor(self) -> Any:
        import submitit

        settings = {k: v for k, v in _plain(self.settings).items() if v not in (None, {}, [])}
        common = {"timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "name"}
        own = {"slurm_max_num_timeout": settings.get("max_num_timeout", 0)}
        executor = submitit.AutoExecutor(
            folder=settings["submitit_folder"],
            cluster=self.cluster,
            **(own if self.cluster == "slurm" else {}),
        )
        executor.update_parameters(
            **{
                name if name in common else f"{self.cluster}_{name}": value
                for name, value in settings.items()
                if name not in OURS
            }
        )
        return executor

    def _watch(
        self, executor: Any, jobs: Sequence[Job], n: int
    ) -> Iterator[tuple[int, JobReturn | Died]]:
        """Keep n jobs going until all have ended."""
        waiting = list(jobs)
        going: dict[int, Any] = {}
        try:
            while waiting or going:
                sent, waiting = waiting[: n - len(going)], waiting[n - len(going) :]
                # Jobs that are sent together become one array on SLURM.
                with executor.batch() if sent and self.cluster == "slurm" else nullcontext():
                    going |= {job.number: executor.submit(job) for job in sent}
                ended = [number for number, job in going.items() if job.done()]
                for number in ended:
                    yield number, _end(going.pop(number))
                if not ended:
                    time.sleep(POLL_SECONDS)
        finally:  # none is left, unless the user has interrupted us
            for left in going.values():
                with suppress(OSError):
                    left.cancel(check=False)


class LocalLauncher(_SubmititLauncher):
    """Processes of this machine. submitit would start all of them at once; we do not."""

    cluster = "local"

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, JobReturn | Died]]:
        n = at_once(self.settings["n_jobs"], jobs)
        ours = side_by_side(jobs, n, self.settings["cpus_per_task"])
        yield from self._watch(self._executor(), ours, n)


class SlurmLauncher(_SubmititLauncher):
    """Jobs of one SLURM array, which read and write the sweep's folder and the cache."""

    cluster = "slurm"

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, JobReturn | Died]]:
        threads = self.settings["cpus_per_task"]
        ours = [replace(job, threads=threads) for job in jobs]
        yield from self._watch(self._executor(), ours, len(jobs))


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in settings.items()
    }


def _end(job: Any) -> JobReturn | Died:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        found: JobReturn = job.result()
    except (FailedJobError, UncompletedJobError) as error:
        return Died(f"its process came to no end (log: {job.paths.stderr}): {_first(error)}")
    return found


def _first(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
