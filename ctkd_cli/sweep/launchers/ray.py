"""`hydra/launcher=ray`: the workers of a Ray cluster, a local one unless an address is given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.utils import JobReturn

from ctkd_cli.sweep.launchers.base import PLUGINS, Died, Job, Launcher


@dataclass
class RaySettings:
    """init: what `ray.init` is given, such as {address: auto} or {num_cpus: 2}. num_cpus, num_gpus:
    what each job takes; its threads are as many as its CPUs."""

    _target_: str = f"{PLUGINS}.RayLauncher"
    init: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(("address", "num_cpus")))
    num_cpus: int = 1
    num_gpus: float = 0.0


class RayLauncher(Launcher):
    """A Ray task for each job. Ray's own retries are off: `ctkd resume` does better."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, JobReturn | Died]]:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        cpus = self.settings["num_cpus"]
        needs = {"num_cpus": cpus, "num_gpus": self.settings["num_gpus"], "max_retries": 0}
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
        wanted = {key: value for key, value in self.settings["init"].items() if value is not None}
        ray.init(**{**quiet, **wanted})
        try:
            call = ray.remote(**needs)(_call)
            pending = {call.remote(replace(job, threads=cpus)): job.number for job in jobs}
            while pending:
                (ready,), _ = ray.wait(list(pending), num_returns=1)
                yield pending.pop(ready), _end(ready)
        finally:
            ray.shutdown()


def _call(job: Job) -> JobReturn:
    return job()


def _end(reference: Any) -> JobReturn | Died:
    import ray

    try:
        found: JobReturn = ray.get(reference)
    except ray.exceptions.RayError as error:
        return Died(f"its Ray worker failed: {str(error).splitlines()[0]}")
    return found
