"""The run directory while a run goes on: events, status, log. Files are written atomically."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from ctkd_cli.runs.atomic import write_atomically
from ctkd_cli.runs.printable import printable
from ctkd_cli.runs.progress import Progress
from ctkd_cli.runs.tracking import Tracker, tracked
from ctkd_cli.runtime import interruption
from ctkd_cli.settings.credentials import redacted

if TYPE_CHECKING:
    from ctkd_cli.tasks.fold import Fold

SWEEP_FILE = "sweep.yaml"  # what a sweep was asked for, in its directory
Event = dict[str, Any]
Listener = Callable[[Mapping[str, Any]], None]  # of each line of events.jsonl; may raise Pruned
PULSE = 1.0  # seconds, the least between two words of progress in status.json


class Display(Protocol):
    """Whatever shows a run's progress to the user (console.py). `title` names a stage."""

    def started(self, title: str, detail: str) -> None: ...
    def progress(self, title: str, done: int, total: int, figures: Mapping[str, float]) -> None: ...
    def done(self, title: str, seconds: float, outcome: str, for_good: bool) -> None: ...
    def note(self, message: str) -> None: ...
    def tell(self, message: str) -> None: ...


@dataclass(frozen=True)
class SeedRun:
    """One of the seeds of a run, or of the folds of one, and its place among them all."""

    seed: int
    position: int
    of: int
    fold: Fold | None = None

    @property
    def names(self) -> dict[str, int]:
        """What events tell of it."""
        return {"seed": self.seed, **({"fold": self.fold.number + 1} if self.fold else {})}

    @property
    def is_last(self) -> bool:
        return self.position == self.of - 1


class RunDirectory:
    """Where a run leaves its files. All that happens goes through here: to events.jsonl, to
    status.json, to run.log and to the display."""

    def __init__(
        self,
        path: Path,
        display: Display,
        tracker: Tracker = "none",
        listener: Listener | None = None,
    ) -> None:
        path.mkdir(parents=True, exist_ok=True)
        _clear(path)
        self.path = path
        self.tracker = tracker
        self._display = display
        self._listener = listener
        self._progress = Progress()
        self._notes: list[str] = []
        self._told = 0.0
        self._seed_run: SeedRun | None = None
        self.metric: dict[str, Any] | None = None  # what the run is judged by, once that is known
        self._began = time.time()
        self._write_status("running")

    def event(self, stage: str, event: str, **figures: Any) -> None:
        """Append one line to events.jsonl."""
        seed_run = {} if self._seed_run is None else self._seed_run.names
        line = {"time": _now(), "stage": stage, "event": event, **seed_run, **figures}
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        if self._listener is not None:
            self._listener(line)

    def note(self, message: str) -> None:
        """Tell the user something, now and in run.log."""
        message = redacted(message)
        self._log(message)
        self._notes.append(message)
        self._display.note(message)

    def tell(self, message: str) -> None:
        """Tell the user of this run what is no reason to do anything, and run.log."""
        self._log(message)
        self._display.tell(message)

    def progress(self, title: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Move the display on and, now and then, tell status.json, which whoever runs many jobs
        reads."""
        self._display.progress(title, done, total, figures)
        self._progress.move(title, done, total, figures)
        if time.monotonic() - self._told > PULSE:
            self._write_status("running")

    @property
    def is_first_seed(self) -> bool:
        return self._seed_run is None or self._seed_run.position == 0

    @property
    def has_folds(self) -> bool:
        return self._seed_run is not None and self._seed_run.fold is not None

    @contextmanager
    def seed_run(self, seed_run: SeedRun) -> Iterator[None]:
        """Events that happen in here are of one seed, and stages will begin again for the next."""
        self._seed_run = seed_run
        try:
            yield
        finally:
            self._seed_run = None

    @contextmanager
    def stage(self, stage: str, arm: str = "", detail: str = "") -> Iterator[Stage]:
        """A part of the run, timed. Stages of several arms have the arm's name too."""
        title = f"{stage} {arm}".strip()
        seed_run = self._seed_run
        if seed_run is not None and seed_run.of > 1:
            named = ", ".join(f"{name} {number}" for name, number in seed_run.names.items())
            detail = f"{detail}, {named}" if detail else named
        names = {"arm": arm} if arm else {}
        self.event(stage, "start", **names, detail=detail)
        self._log(f"{title}: {detail}" if detail else title)
        self._display.started(title, detail)
        self._progress.begin(title)
        self._write_status("running")
        current = Stage(self, stage, title, seed_run)
        yield current
        seconds = self._progress.end()
        self.event(stage, "done", **names, seconds=round(seconds, 3))
        self._display.done(title, seconds, current.outcome, seed_run is None or seed_run.is_last)
        self._write_status("running")

    def finish(self, status: str, reason: str = "") -> None:
        """The last word: complete, failed or interrupted."""
        self._log(f"{status} {reason}".strip())
        self._write_status(status, reason)

    def write_json(self, name: str, data: Any, durable: bool = True) -> None:
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.path / name, text, durable)

    def write_yaml(self, name: str, data: Any) -> None:
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        write_atomically(self.path / name, text)

    def _write_status(self, status: str, reason: str = "") -> None:
        """Only a last word is worth waiting for the disk."""
        self._told = time.monotonic()
        running = status == "running"
        self.write_json(
            "status.json",
            {
                "status": status,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                **({"reason": redacted(reason)} if reason else {}),
                "started": datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
                "updated": _now(),
                "seconds": round(time.time() - self._began, 1),
                **self._progress.as_data(),
                **({"metric": self.metric} if self.metric else {}),
                **({"notes": self._notes} if self._notes else {}),
            },
            durable=not running,
        )

    def _log(self, message: str) -> None:
        with (self.path / "run.log").open("a", encoding="utf-8") as stream:
            stream.write(f"{_now()} {printable(redacted(message))}\n")


class Stage:
    """What a stage can say while it runs."""

    def __init__(
        self,
        directory: RunDirectory,
        name: str,
        title: str,
        seed_run: SeedRun | None = None,
    ) -> None:
        self._directory = directory
        self._name = name
        self._title = title
        self._seed_run = seed_run or SeedRun(0, 0, 1)
        self._heard: list[Event] | None = None
        self.outcome = ""  # shown when the stage ends

    def event(self, event: str, **figures: Any) -> None:
        if self._heard is not None:
            self._heard.append({"event": event, **figures})
        self._directory.event(self._name, event, **figures)

    @contextmanager
    def remembered(self) -> Iterator[list[Event]]:
        """A list of the events that are told while this lasts, so that they can be told again."""
        self._heard = []
        try:
            yield self._heard
        finally:
            self._heard = None

    @contextmanager
    def tracked(self) -> Iterator[tuple[Tracker, str]]:
        """The run's tracker during a training, with the name of the training there."""
        tracker, path = self._directory.tracker, self._directory.path
        title = self._title.replace(" ", "-")
        if self._seed_run.of > 1:
            title = "-".join([title, *(f"{k}-{n}" for k, n in self._seed_run.names.items())])
        with tracked(tracker, path, title):
            yield tracker, f"{path.name}-{title}"

    def progress(self, done: int, total: int, **figures: float) -> None:
        """Move the display on; `figures` are shown beside the bar. Ends here when the user has
        asked for it."""
        interruption.check()
        before = self._seed_run.position * total  # a bar goes over all seeds
        self._directory.progress(self._title, before + done, self._seed_run.of * total, figures)

    def reused(self) -> None:
        """Say that the stage's result was there already."""
        self.event("reused")
        self.outcome = "reused"

    def note(self, message: str) -> None:
        self._directory.note(message)


def status_of(directory: Path) -> dict[str, Any]:
    """What status.json says; {} when it is absent or torn."""
    return _mapping(directory / "status.json")


def metrics_of(directory: Path) -> dict[str, float]:
    """The figures of metrics.json; {} when it is absent or torn."""
    return _mapping(directory / "metrics.json")


def _mapping(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_going_on(status: Mapping[str, Any]) -> bool:
    """Whether another process, the one that wrote a status, is at work still, as far as this
    machine can tell."""
    return _runs_here(status) and status["pid"] != os.getpid() and _is_alive(status["pid"])


def last_word(directory: Path) -> dict[str, Any]:
    """What status.json says, but `killed` when it says that a process runs here which is gone."""
    status = status_of(directory)
    if _is_gone(status):
        status = status_of(directory)  # it may have ended in between, and written so
    if not _is_gone(status):
        return status
    reason = f"process {status['pid']} is gone, and left no word"
    return {**status, "status": "killed", "reason": reason}


def resume_command(directory: Path) -> str:
    """What finishes a run or a sweep, for a shell; "" where there is none to finish."""
    begun = any((directory / name).is_file() for name in ("config.yaml", SWEEP_FILE))
    return f"ctkd resume {shlex.quote(str(directory))}" if begun else ""


def _is_gone(status: Mapping[str, Any]) -> bool:
    return _runs_here(status) and not _is_alive(status["pid"])


def _runs_here(status: Mapping[str, Any]) -> bool:
    here = status.get("host") == socket.gethostname()
    return here and status.get("status") == "running" and isinstance(status.get("pid"), int)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _clear(directory: Path) -> None:
    """Remove what a run that did not end has left of the files that are added to."""
    for name in ("events.jsonl", "label_map.csv"):
        (directory / name).unlink(missing_ok=True)
    for torn in directory.glob(".*.*"):  # see write_through
        if torn.suffix[1:].isdigit():
            torn.unlink()
    for left in (directory / "student", directory / "tensorboard"):
        shutil.rmtree(left, ignore_errors=True)


def write_refusal(directory: Path, overrides: Sequence[str], reason: str) -> None:
    """What is left of a job of a sweep that was refused before it began."""
    status = {"status": "failed", "reason": redacted(reason), "started": _now(), "stages": {}}
    write_atomically(directory / "overrides.yaml", yaml.safe_dump(list(overrides)))
    write_atomically(directory / "status.json", json.dumps(status, indent=1) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
