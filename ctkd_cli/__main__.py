"""`ctkd`: finds the verb, and turns errors into messages and exit codes.

Exit codes: 0 done; 1 a run failed; 2 bad input; 3 a sweep finished with failed jobs;
130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

import ctkd_cli
from ctkd_cli.cache.entries import is_of_cache, not_writable
from ctkd_cli.cli.cache import cache
from ctkd_cli.cli.check import check
from ctkd_cli.cli.compare import compare
from ctkd_cli.cli.config import config
from ctkd_cli.cli.fetch import fetch
from ctkd_cli.cli.list import list_options
from ctkd_cli.cli.predict import predict
from ctkd_cli.cli.report import report
from ctkd_cli.cli.resume import resume
from ctkd_cli.cli.run import run
from ctkd_cli.errors import CtkdError, InputError, Problem
from ctkd_cli.runs.printable import printable_lines
from ctkd_cli.runtime import parallel, streams, variables, waiting
from ctkd_cli.settings.credentials import redacted

PATIENCE = 10.0  # seconds; torchrun ends all processes when one has ended
LOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)  # of standard output
SILENTLY = ("MPLBACKEND", "MATPLOTLIBRC")  # no setting has to do with these
OVERRIDES = {"ignore_unknown_options": True, "allow_interspersed_args": True}

app = typer.Typer(
    help="Cross-task knowledge distillation: can a teacher trained on another task make my small "
    "model better, by how much, and with how many labels fewer?",
    epilog="Start with: ctkd run experiment=smoke, then ctkd run, then ctkd list.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(context_settings=OVERRIDES)(run)
app.command()(check)
app.command()(config)
app.command("list")(list_options)
app.command()(fetch)
app.command()(predict)
app.command()(report)
app.command()(resume)
app.command()(compare)
app.add_typer(cache, name="cache")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `ctkd ARGUMENTS` and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    words = [argument for argument in given if argument != "--debug"] or ["--help"]
    if words[0] in ("--shell-completion", "-sc"):  # how Hydra's completion scripts call us
        words.insert(0, "run")
    streams.open_all()
    if problem := parallel.half_set() or _without_docstrings():
        _say(f"error: {problem}")
        return InputError.exit_code
    parallel.quiet()
    waiting.asleep()
    for name in variables.remove():
        if parallel.is_main() and name not in SILENTLY:
            _say(f"note: {name} is not used: settings decide (ctkd list)")
    try:
        # Without its standalone mode typer returns the code of an exit, 130 for Ctrl-C.
        code = app(words, standalone_mode=False, prog_name="ctkd")
        streams.flush()
    except Exception as error:
        if debug:
            _say(traceback.format_exc())
        return _explain(error)
    except SystemExit as stop:  # a closed pipe, or Hydra's own argument parser
        code = stop.code
    return code if isinstance(code, int) else 0


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    if version:
        print(f"ctkd {ctkd_cli.__version__}")
        raise typer.Exit


def _without_docstrings() -> Problem | None:
    if sys.flags.optimize < 2:
        return None
    return Problem(
        "transformers reads docstrings, which Python leaves out here",
        where="PYTHONOPTIMIZE, or python -OO",
        got=str(sys.flags.optimize),
        allowed="0 or 1",
        remedy="unset PYTHONOPTIMIZE",
    )


def _explain(error: Exception) -> int:
    """Say on stderr what went wrong; the exit code that goes with it."""
    if isinstance(error, InputError) and not parallel.is_main():
        time.sleep(PATIENCE)  # the first process says the same; torchrun ends this one when it has
        return error.exit_code
    if isinstance(error, CtkdError):
        _say(f"error: {error}")
        return error.exit_code
    if isinstance(error, OSError) and is_of_cache(error):
        return _explain(not_writable(error))
    if isinstance(error, TyperException):
        return _explain_usage(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = str(error.filename)
        got = f"{name[:60]}... ({len(name)} characters)"
        _say(f"error: {Problem('this name is too long', where='a file or folder', got=got)}")
        return InputError.exit_code
    if isinstance(error, OSError) and error.filename is None and error.errno in LOST:
        _say(f"error: standard output cannot be written: {error.strerror}")
        with contextlib.suppress(OSError):
            streams.flush()
        return 1
    _say(f"error: {type(error).__name__}: {error}")
    _say("  this is not a message that ctkd meant to give; add --debug for the traceback")
    return 1


def _explain_usage(error: TyperException) -> int:
    """Of a command that was typed wrongly."""
    context = getattr(error, "ctx", None)
    _say(f"error: {error.format_message()}")
    _say(f"  try:     {context.command_path if context else 'ctkd'} --help")
    return error.exit_code


def _say(message: str) -> None:
    """Print to stderr. Texts of the user may be in the message: neither escape codes nor
    passwords reach the terminal."""
    with contextlib.suppress(OSError):  # nobody can be told
        print(printable_lines(redacted(message)), file=sys.stderr, flush=True)


def run_and_exit() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    run_and_exit()
