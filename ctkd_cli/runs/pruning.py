"""Ending a hopeless run early. Somebody may listen to a run's events, and say that it should end:
the search for settings does (search/judge.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ctkd_cli.errors import RunFailed

Listener = Callable[[Mapping[str, Any]], None]
_listeners: list[Listener] = []


class Pruned(RunFailed):
    """The run was ended since others do better; neither complete nor failed."""


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Let `listener` hear each line of events.jsonl while this lasts. It may raise Pruned."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(line: Mapping[str, Any]) -> None:
    """Pass an event on. Raises Pruned."""
    for listener in _listeners:
        listener(line)
