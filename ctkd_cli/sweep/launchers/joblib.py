"""`hydra/launcher=joblib`: processes of this machine that take one job after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from hydra.core.utils import JobReturn

from ctkd_cli.sweep.launchers.base import PLUGINS, Died, Job, Launcher, at_once, side_by_side


@dataclass
class JoblibSettings:
    """n_jobs: how many jobs run at once; -1: as many as there are cores."""

    _target_: str = f"{PLUGINS}.JoblibLauncher"
    n_jobs: int = -1


class JoblibLauncher(Launcher):
    """Joblib's pool of processes (loky). When one of them is killed the pool breaks and takes the
    jobs beside it along, so those are run again, one by one, to find which of them it was."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, JobReturn | Died]]:
        n = at_once(self.settings["n_jobs"], jobs)
        waiting = {job.number: job for job in side_by_side(jobs, n)}
        suspects: list[Job] = []
        while waiting:
            for number, end in _in_pool(list(waiting.values()), n):
                del waiting[number]
                yield number, end
            # What is left was in a pool that broke.
            begun = [job for job in waiting.values() if job.directory.exists()]
            for job in begun or list(waiting.values()):
                suspects.append(waiting.pop(job.number))
        for job in suspects:
            ends = dict(_in_pool([job.again()], 1))
            yield job.number, ends.get(job.number, Died("its process was killed"))


def _in_pool(jobs: Sequence[Job], n: int) -> Iterator[tuple[int, JobReturn]]:
    """Ends of jobs, until all have ended or the pool breaks."""
    from joblib.externals.loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(max_workers=n)
    try:
        futures = {pool.submit(job): job.number for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        pool.shutdown()
    except BaseException:  # the user has interrupted us
        pool.shutdown(kill_workers=True)
        raise
    else:
        pool.shutdown()
