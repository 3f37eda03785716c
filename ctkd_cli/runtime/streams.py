"""Standard input and output: closed, full, or of an encoding with few letters."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from typing import Any

from ctkd_cli.errors import InputError, Problem


def open_all() -> None:
    """Make output ready: what its encoding has no letter for is shown as `\\xe9`, and what is
    closed takes all and keeps nothing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def holds_all_letters() -> bool:
    """Whether standard output has a letter for every character."""
    encoding: str = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").startswith(("utf", "cp65001"))


def as_json(data: Any, indent: int | None = None) -> str:
    """JSON that standard output can hold."""
    return json.dumps(data, indent=indent, ensure_ascii=not holds_all_letters())


def read_input() -> bytes:
    """All of standard input. Raises InputError when it is closed, or cannot be read."""
    try:
        if sys.stdin is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(
            Problem(
                "standard input cannot be read",
                where="standard input",
                got=error.strerror or str(error),
                remedy="ctkd predict RUN FILE, or pipe texts into it",
            )
        ) from None


def flush() -> None:
    """Have written what was printed. Raises OSError; what could not be written is then dropped, so
    that Python does not complain of it again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
