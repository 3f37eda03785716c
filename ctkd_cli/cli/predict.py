"""`ctkd predict`: label new inputs with a run's student."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctkd_cli.runs.printable import printable_lines
from ctkd_cli.runs.spreadsheet import inert, write
from ctkd_cli.runtime.streams import as_json, holds_all_letters

if TYPE_CHECKING:
    from ctkd_cli.deploy.predict import Labelled


class Format(StrEnum):
    csv = "csv"
    jsonl = "jsonl"


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="New inputs; default: stdin.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.csv,
) -> None:
    """Label new inputs with the student of a run, probabilities included.

    \b
    Examples:
      ctkd predict outputs/RUN texts.csv > labelled.csv
      echo "Striker signs for Chelsea" | ctkd predict outputs/RUN
    """
    from ctkd_cli.deploy.predict import predict as label
    from ctkd_cli.runs.console import hush_libraries

    hush_libraries()
    if format is Format.csv and not holds_all_letters():
        print(f"note: standard output is {sys.stdout.encoding}, and shows other letters as \\x..; "
              "PYTHONIOENCODING=utf-8 has them all", file=sys.stderr)  # fmt: skip
    for position, labelled in enumerate(label(run, file)):
        if format is Format.csv:
            _print_csv(labelled, header=position == 0)
        else:
            _print_jsonl(labelled)


def _print_csv(labelled: Labelled, header: bool) -> None:
    if header:
        probabilities = (_cell(f"p({label})") for label in labelled.labels)
        write(sys.stdout, [["id", "input", "predicted", *probabilities]])
    rows = zip(
        labelled.ids, labelled.inputs, labelled.predicted, labelled.probabilities, strict=True
    )
    write(
        sys.stdout,
        (
            [_cell(name), _cell(text), _cell(predicted), *(f"{p:.6f}" for p in row)]
            for name, text, predicted, row in rows
        ),
    )


def _print_jsonl(labelled: Labelled) -> None:
    for name, text, predicted, row in zip(
        labelled.ids, labelled.inputs, labelled.predicted, labelled.probabilities, strict=True
    ):
        probabilities = dict(zip(labelled.labels, row.tolist(), strict=True))
        line = {"id": name, "input": text, "predicted": predicted, "probabilities": probabilities}
        print(as_json(line))


def _cell(text: str) -> str:
    """A cell that no spreadsheet runs as a formula and, shown there, no terminal as a command."""
    return inert(printable_lines(text) if sys.stdout.isatty() else text)
