"""Ctrl-C, heard wherever it lands.

Python raises KeyboardInterrupt in whatever code is running, and some code swallows it: a
destructor, a callback from C. So the request is remembered too, and asked for at every step.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_requested = threading.Event()


@contextmanager
def remembered() -> Iterator[None]:
    """Remember interrupts while this lasts. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requested.clear()
    before = signal.signal(signal.SIGINT, _on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check() -> None:
    """Raise KeyboardInterrupt when the user has asked for it."""
    if _requested.is_set():
        raise KeyboardInterrupt


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    _requested.set()
    raise KeyboardInterrupt
