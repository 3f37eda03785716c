"""`ctkd predict`: label new inputs with a run's student."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runs.printable import printable, printable_lines
from ctkd_cli.runs.spreadsheet import inert, write
from ctkd_cli.runtime.streams import as_json, holds_all_letters

if TYPE_CHECKING:
    from ctkd_cli.deploy.predict import Labelled


SHOWN = 8  # columns that a note names


class Format(StrEnum):
    csv = "csv"
    jsonl = "jsonl"
    conll = "conll"


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="New inputs; default: stdin.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Holds the inputs; default: as in training."),
    ] = None,
    id: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Tells rows apart; default: id.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Stands beside the answers; again for more."),
    ] = None,
    format: Annotated[
        Format | None, typer.Option(help="How to print; default: csv, of words conll.")
    ] = None,
) -> None:
    """Label new inputs with the student of a run, probabilities included. FILE: a table (CSV, TSV,
    JSON, JSONL, Parquet, Arrow), or plain lines; where words are labelled, also CoNLL columns.

    \b
    Examples:
      ctkd predict outputs/RUN texts.csv > labelled.csv
      ctkd predict outputs/RUN tickets.csv --text body --id ticket --keep opened
      echo "Striker signs for Chelsea" | ctkd predict outputs/RUN
    """
    from ctkd_cli.deploy.predict import predict as label
    from ctkd_cli.runs.console import hush_libraries
    from ctkd_cli.tasks.kinds._new_inputs import Asked

    hush_libraries()
    asked = Asked(tuple(text or ()), id, tuple(keep or ()))
    left_out, answers = label(run, file, asked)
    if left_out:
        named = printable_lines(", ".join(left_out[:SHOWN]))
        more = f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
        told = f"note: columns left out: {named}{more} (--id COLUMN, --keep COLUMN keep them)"
        print(told, file=sys.stderr)
    for position, labelled in enumerate(answers):
        chosen = labelled.formats[0] if format is None else format.value
        if chosen not in labelled.formats:
            raise InputError(
                Problem(
                    "these answers cannot be printed so",
                    where="--format",
                    got=chosen,
                    allowed=", ".join(labelled.formats),
                )
            )
        if chosen == Format.csv:
            if position == 0 and not holds_all_letters():
                told = f"note: standard output is {sys.stdout.encoding}, and shows other letters as"
                print(f"{told} \\x..; PYTHONIOENCODING=utf-8 has them all", file=sys.stderr)
            _print_csv(labelled, header=position == 0)
        elif chosen == Format.jsonl:
            _print_jsonl(labelled)
        else:
            _print_conll(labelled)


def _print_csv(labelled: Labelled, header: bool) -> None:
    """A column for each label's probability; of inputs with several answers a list of these in a
    cell, as JSON has it, and one of how sure each is."""
    if header:
        labels = labelled.records[0]["probabilities"]
        several = not isinstance(labels, Mapping)
        probabilities = ["p"] if several else [_cell(f"p({label})") for label in labels]
        names = map(_cell, (labelled.id_column, *labelled.kept))
        write(sys.stdout, [[*names, "input", "predicted", *probabilities]])
    write(
        sys.stdout,
        (
            [
                *map(_cell, map(_text, (*own, record["input"], record["predicted"]))),
                *_sure(record["probabilities"]),
            ]
            for *own, record in zip(
                labelled.ids, *labelled.kept.values(), labelled.records, strict=True
            )
        ),
    )


def _print_jsonl(labelled: Labelled) -> None:
    for position, record in enumerate(labelled.records):
        line = {
            labelled.id_column: labelled.ids[position],
            **{name: values[position] for name, values in labelled.kept.items()},
            **record,
        }
        print(as_json(line))


def _print_conll(labelled: Labelled) -> None:
    """A word per line, with its tag and how sure it is; a blank line after each sentence."""
    for name, record in zip(labelled.ids, labelled.records, strict=True):
        print(f"# sent_id = {printable(name)}")
        columns = record["words"], record["tags"], record["probabilities"]
        for word, tag, p in zip(*columns, strict=True):
            print(f"{printable(word)}\t{tag}\t{p:.6f}")
        print()


def _text(value: Any) -> str:
    if isinstance(value, list | dict):
        return as_json(value)
    return "" if value is None else str(value)


def _sure(probabilities: Mapping[str, float] | Sequence[float]) -> list[str]:
    if isinstance(probabilities, Mapping):
        return [f"{p:.6f}" for p in probabilities.values()]
    return [as_json([round(float(p), 6) for p in probabilities])]


def _cell(text: str) -> str:
    """A cell that no spreadsheet runs as a formula and, shown there, no terminal as a command."""
    return inert(printable_lines(text) if sys.stdout.isatty() else text)
