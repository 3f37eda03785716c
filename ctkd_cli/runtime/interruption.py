"""Ctrl-C, heard wherever it lands.

Python raises KeyboardInterrupt in whatever code is running, and some code swallows it: a
destructor, a callback from C. So the request is remembered too, and asked for at every step. Code
that can stop in good order is `patient`: a first request is only remembered, a second one raises.
A request to end from outside (SIGTERM: a scheduler that wants the machine back) is one as well.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
SAME = 1.0  # seconds within which signals are one request: a terminal and torchrun both send it

_requested = threading.Event()
_patient = False
_since = 0.0  # when it was requested


@contextmanager
def remembered() -> Iterator[None]:
    """Remember interrupts while this lasts. Does nothing outside the main thread; signals that
    somebody else has a handler for (submitit has) stay theirs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) in DEFAULTS]
    before = {number: signal.signal(number, _on_interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested.clear()


@contextmanager
def patient() -> Iterator[None]:
    """What runs in here asks for itself whether it is `requested`, and stops in good order."""
    global _patient
    before, _patient = _patient, True
    try:
        yield
    finally:
        _patient = before


def requested() -> bool:
    """Whether the user has asked for an end."""
    return _requested.is_set()


def check() -> None:
    """Raise KeyboardInterrupt when the user has asked for it and nobody is patient."""
    if _requested.is_set() and not _patient:
        stop()


def stop() -> None:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    global _since
    first = not _requested.is_set()
    if first:
        _since = time.monotonic()
        _requested.set()
    if (first and not _patient) or time.monotonic() - _since > SAME:
        stop()
