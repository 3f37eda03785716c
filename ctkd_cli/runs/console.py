"""What the user sees while a run goes on: live bars in a terminal, plain lines elsewhere.

Talk goes to stderr; stdout is kept for data.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from ctkd_cli.runs.printable import printable
from ctkd_cli.runs.rundir import Display
from ctkd_cli.runtime import parallel

BAR = 10  # cells of a bar: all figures of a student fit beside it in 80 columns
QUIET_SECONDS = 15.0  # plain display: the longest silence within a stage
WATCHED_VARIABLE = "CTKD_WATCHED"  # the process that shows all jobs of a sweep together
SHOWN = {"loss": "loss", "ce": "CE", "kd": "KD", "lambda": "λ"}


@contextmanager
def display(titles: Sequence[str]) -> Iterator[Display]:
    """A display for a run with the stages called `titles`."""
    hush_libraries()
    if os.environ.get(WATCHED_VARIABLE) == str(os.getpid()) or not parallel.is_main():
        yield SilentDisplay()
    elif is_terminal():
        with LiveDisplay(titles) as live:
            yield live
    else:
        yield PlainDisplay()


def is_terminal() -> bool:
    """Whether lines that were shown can be drawn again."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def hush_libraries() -> None:
    """Keep other libraries' bars and advice out of ours; their warnings stay."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


class _Sign(SpinnerColumn):
    """A dot for what waits, a spinner for what runs, a tick for what is done."""

    def render(self, task: Task) -> RenderableType:
        return super().render(task) if task.started else Text("·", style="dim")


class _Clock(TimeRemainingColumn):
    """What a stage took; while it runs, what is left."""

    # Or the base class would show for a while what it showed before.
    max_refresh = None  # type: ignore[assignment]

    def render(self, task: Task) -> Text:
        took = task.fields["clock"]
        text = Text(took) if took else super().render(task)
        text.justify = "right"
        return text


class _Figures(ProgressColumn):
    """A stage's figures, or what is said of it."""

    def render(self, task: Task) -> RenderableType:
        return AsManyAsFit(task.fields["figures"])


@dataclass(frozen=True)
class AsManyAsFit:
    """Figures, two spaces between them: where there is no room, the last ones are left out and none
    is cut."""

    figures: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, cell_len(self.figures)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = self.figures.split("  ")
        while len(shown) > 1 and cell_len("  ".join(shown)) > options.max_width:
            shown.pop()
        yield Text("  ".join(shown), style="dim", overflow="ellipsis", no_wrap=True)


def fixed(width: int) -> Column:
    """A column of one width, so that nothing jumps while a run goes on."""
    return Column(width=width, no_wrap=True)


class LiveDisplay:
    """A line per stage: waiting, running with a bar and its figures, or done."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._progress = Progress(
            _Sign(finished_text="[green]✓"),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=BAR, table_column=Column(min_width=BAR)),
            _Clock(compact=True, table_column=fixed(8)),
            _Figures(table_column=Column(no_wrap=True, ratio=1)),
            expand=True,
            console=Console(stderr=True),
        )
        self._tasks = {title: self._add(title) for title in titles}
        self._seconds: dict[str, float] = {}

    def __enter__(self) -> LiveDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, title: str, detail: str) -> None:
        if title not in self._tasks:
            self._tasks[title] = self._add(title)
        task = self._tasks[title]
        self._progress.start_task(task)
        self._progress.update(task, description=escape(title), figures=detail, clock="")

    def progress(self, title: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        shown: dict[str, Any] = {"figures": format_figures(figures)} if figures else {}
        self._progress.update(self._tasks[title], completed=done, total=total, **shown)

    def done(self, title: str, seconds: float, outcome: str, for_good: bool) -> None:
        task = self._progress.tasks[self._tasks[title]]
        self._seconds[title] = self._seconds.get(title, 0.0) + seconds
        shown: dict[str, Any] = {"figures": outcome} if outcome else {}
        if for_good:
            shown["completed"] = shown["total"] = task.total or 1
        self._progress.update(task.id, clock=f"{self._seconds[title]:.1f} s", **shown)

    def note(self, message: str) -> None:
        self._progress.console.print(Text(f"note: {printable(message)}", style="yellow"))

    def tell(self, message: str) -> None:
        self._progress.console.print(Text(printable(message), style="dim"))

    def _add(self, title: str) -> TaskID:
        return self._progress.add_task(
            f"[dim]{escape(title)}", start=False, total=None, figures="", clock=""
        )


class PlainDisplay:
    """Lines for logs and pipes: a stage's start and end, and a sign of life in between."""

    def __init__(self) -> None:
        self._spoke = time.monotonic()
        self._first: tuple[int, float] | None = None  # what a stage first had done, and when

    def started(self, title: str, detail: str) -> None:
        self._first = None
        self._say(f"{title}: {detail}" if detail else title)

    def progress(self, title: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        now = time.monotonic()
        first, since = self._first = self._first or (done, now)
        if now - self._spoke > QUIET_SECONDS:
            left = (now - since) / (done - first) * (total - done) if done > first else None
            words = [f"{done}/{total}", format_figures(figures), left and f"{left:.0f} s left"]
            self._say(f"{title}: {'  '.join(word for word in words if word)}")

    def done(self, title: str, seconds: float, outcome: str, for_good: bool) -> None:
        self._say(f"{title}: {outcome or 'done'} in {seconds:.1f} s")

    def note(self, message: str) -> None:
        self._say(f"note: {message}")

    def tell(self, message: str) -> None:
        self._say(message)

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        print(printable(line), file=sys.stderr, flush=True)


class SilentDisplay:
    """For a job of a sweep, whose status.json tells the sweep's display where it is; and for a
    process that trains together with the one that speaks."""

    def started(self, title: str, detail: str) -> None: ...
    def progress(self, title: str, done: int, total: int, figures: Mapping[str, float]) -> None: ...
    def done(self, title: str, seconds: float, outcome: str, for_good: bool) -> None: ...
    def note(self, message: str) -> None: ...
    def tell(self, message: str) -> None: ...


def format_figures(figures: Mapping[str, float]) -> str:
    """`loss 0.412  CE 0.310  KD 0.102  λ 1`."""
    return "  ".join(f"{SHOWN[name]} {figures[name]:.3g}" for name in SHOWN if name in figures)
