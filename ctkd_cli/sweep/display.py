"""What the user sees of all jobs while a sweep runs: a live table in a terminal, a line when a job
begins and ends elsewhere. On stderr, as all talk."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ctkd_cli.runs.console import AsManyAsFit, format_figures, is_terminal
from ctkd_cli.runs.printable import printable
from ctkd_cli.runtime import parallel
from ctkd_cli.sweep.job import PRUNED
from ctkd_cli.sweep.watch import Sight, Watch

INTERVAL = 1.0  # seconds between two looks
QUIET_SECONDS = 60.0  # plain lines: the longest silence
SILENT_SECONDS = 120.0  # after which it is said of a job that it tells nothing
BAR = 10  # cells
ROOMY = 110  # columns from which the figures of training are shown
AROUND = 6  # lines of the screen that are not jobs


@contextmanager
def shown(directory: Path, jobs: Sequence[Sequence[str]] | None) -> Iterator[None]:
    """Show the jobs of a sweep while this lasts, whoever runs them. jobs: their overrides, where
    they are known beforehand."""
    if not parallel.is_main():
        yield
        return
    watch = Watch(directory, jobs)
    board: Board = LiveTable(watch) if is_terminal() else PlainLines(watch)
    over = threading.Event()

    def keep_looking() -> None:
        while not over.wait(INTERVAL):
            board.show(watch.look())

    looking = threading.Thread(target=keep_looking, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
        board.end(watch.look())


class Board(Protocol):
    """Where jobs are shown."""

    def show(self, jobs: Sequence[Sight]) -> None: ...
    def end(self, jobs: Sequence[Sight]) -> None: ...


class Notes:
    """What jobs have to say: the same thing only once, however many say it."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def new(self, jobs: Sequence[Sight]) -> Iterator[str]:
        for job in jobs:
            for note in job.notes:
                if note not in self._told:
                    self._told.add(note)
                    yield printable(f"note: job {job.name}: {note}")


class PlainLines:
    """For logs and pipes."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._notes = Notes()
        self._began = self._spoke = time.monotonic()
        self._ended = {job.name for job in watch.look() if job.status != "running"}
        self._begun = set(self._ended)
        if self._ended:
            self._say(f"jobs complete already: {len(self._ended)}")

    def show(self, jobs: Sequence[Sight]) -> None:
        for job in jobs:
            if job.name not in self._begun:
                self._begun.add(job.name)
                self._say(f"job {job.name} begins: {self._watch.name(job)}")
            for note in self._notes.new([job]):
                self._say(note)
            if job.status != "running" and job.name not in self._ended:
                self._ended.add(job.name)
                self._say(f"job {job.name} {outcome(job)}")
        if time.monotonic() - self._spoke > QUIET_SECONDS:
            self._say(headline(jobs, self._watch.n_jobs, time.monotonic() - self._began))

    def end(self, jobs: Sequence[Sight]) -> None:
        self.show(jobs)
        self._say(headline(jobs, self._watch.n_jobs, time.monotonic() - self._began))

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        print(printable(line), file=sys.stderr, flush=True)


class LiveTable:
    """A line for each job that runs or has failed; the others are counted."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._notes = Notes()
        self._began = time.monotonic()
        console = Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()
        self.show(watch.look())

    def show(self, jobs: Sequence[Sight]) -> None:
        for note in self._notes.new(jobs):
            self._live.console.print(Text(note, style="yellow"))
        self._live.update(self._drawn(jobs), refresh=True)

    def end(self, jobs: Sequence[Sight]) -> None:
        self.show(jobs)
        self._live.stop()
        line = headline(jobs, self._watch.n_jobs, time.monotonic() - self._began)
        self._live.console.print(Text(line))

    def _drawn(self, jobs: Sequence[Sight]) -> RenderableType:
        width, height = self._live.console.size
        seconds = time.monotonic() - self._began
        return table(self._watch, jobs, seconds, width, max(4, height - AROUND))


def table(
    watch: Watch, jobs: Sequence[Sight], seconds: float, width: int, rows: int
) -> RenderableType:
    """So many rows at most: those that run first, then the last that failed."""
    running = [job for job in jobs if job.status == "running"]
    failed = [job for job in jobs if job.status not in ("running", "complete", PRUNED)]
    shown = running[:rows]
    shown += failed[-(rows - len(shown)) :] if rows > len(shown) else []
    lines = Table.grid(padding=(0, 2), expand=True)
    lines.add_column(no_wrap=True, justify="right")
    lines.add_column(no_wrap=True, ratio=3, overflow="ellipsis")
    lines.add_column(no_wrap=True, ratio=2, overflow="ellipsis")
    lines.add_column(width=BAR)
    lines.add_column(no_wrap=True, justify="right", min_width=5)
    if width >= ROOMY:
        lines.add_column(no_wrap=True, ratio=3, overflow="ellipsis")
    for job in shown:
        lines.add_row(*_row(job, watch.name(job))[: len(lines.columns)])
    parts: list[RenderableType] = [
        Text(headline(jobs, watch.n_jobs, seconds), style="bold", overflow="ellipsis", no_wrap=True)
    ]
    if shown:
        parts.append(lines)
    if hidden := len(running) + len(failed) - len(shown):
        parts.append(Text(f"and {hidden} more", style="dim"))
    return Group(*parts)


def _row(job: Sight, name: str) -> list[RenderableType]:
    number, settings = Text(job.name), Text(printable(name))
    if job.status != "running":
        reason = printable(next(iter(job.reason.splitlines()), ""))
        told = Text(f"{job.status}: {reason}" if reason else job.status)
        cells: list[RenderableType] = [number, settings, told, "", Text(clock(job.seconds)), ""]
        for cell in cells:
            if isinstance(cell, Text):
                cell.stylize("red")
        return cells
    bar = ProgressBar(job.total, job.done, width=BAR) if job.total else ""
    left = "" if job.left is None else clock(job.left) + ("+" if job.at_least else "")
    between = "–" if job.stages else "starts"
    stage = Text(printable(job.stage or between))
    if job.silent > SILENT_SECONDS:
        stage = Text(f"silent for {clock(job.silent)}", style="yellow")
    return [number, settings, stage, bar, Text(left), AsManyAsFit(format_figures(job.figures))]


def headline(jobs: Sequence[Sight], n_jobs: int | None, seconds: float) -> str:
    """`12 jobs: 3 complete, 2 running, 7 waiting; 1:02, about 4:10 left`."""
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.status] = counts.get(job.status, 0) + 1
    waiting = max(0, (n_jobs or 0) - len(jobs))
    order = sorted(counts.items(), key=lambda each: (each[0] != "complete", each[0] != "running"))
    told = [f"{n} {status}" for status, n in order] + ([f"{waiting} waiting"] if waiting else [])
    left = _left(jobs, waiting) if n_jobs else None
    known = f"{n_jobs} jobs" if n_jobs else "jobs"
    rest = "" if left is None else f", about {clock(left)} left"
    return f"{known}: {', '.join(told) or 'none'}; {clock(seconds)}{rest}"


def _left(jobs: Sequence[Sight], waiting: int) -> float | None:
    """Seconds until all have ended, if as many go on running at a time; None when nothing runs or
    none has shown how long it takes."""
    complete = [job.seconds for job in jobs if job.status == "complete"]
    running = [job.left or 0.0 for job in jobs if job.status == "running"]
    if not complete or not running:
        return None
    return (sum(running) + waiting * sum(complete) / len(complete)) / len(running)


def outcome(job: Sight) -> str:
    """`complete in 0:12: accuracy 0.812, gain +0.020`."""
    told = f"{job.status} in {clock(job.seconds)}"
    metric = job.metric
    if (score := job.metrics.get(f"distilled/{metric.name}")) is not None:
        gain = job.metrics.get(f"gain/{metric.name}", float("nan"))
        return f"{told}: {metric.title} {score:.3f}, gain {gain:+.3f}"
    return f"{told}: {next(iter(job.reason.splitlines()), '')}" if job.reason else told


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:30`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
