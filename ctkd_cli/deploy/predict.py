"""Labels for new inputs, from the student of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.experiment import load
from ctkd_cli.runs.rundir import resume_command
from ctkd_cli.runtime import devices
from ctkd_cli.settings.plain_data import require_bounded
from ctkd_cli.tasks.kinds.base import rows
from ctkd_cli.training import inference
from ctkd_cli.training.inference import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.kinds._new_inputs import Asked, NewInputs

OURS = ("input", "predicted", "probabilities", "words", "tags", "spans")  # what is printed
PIECE = 10_000  # inputs that are tokens, and answers, at one time


@dataclass(frozen=True)
class Labelled:
    """Some inputs. ids: [N], from the column id_column. kept: the user's columns, [N] each.
    records: [N], what the kind of task tells of each (Kind.record). formats: in which the kind can
    be printed."""

    id_column: str
    ids: Sequence[str]
    kept: Mapping[str, Sequence[Any]]
    records: Sequence[Mapping[str, Any]]
    formats: tuple[str, ...]


def predict(
    run: Path, file: Path | None, asked: Asked
) -> tuple[tuple[str, ...], Iterator[Labelled]]:
    """The inputs of a file, or of stdin when it is None, labelled by the student of a run: some at
    a time, in their order. asked: the columns that the user names. Before them, the names of the
    columns that are left out.

    Raises InputError, before the first, when there is no complete run, or the file cannot be read.
    """
    if not (run / "student").is_dir() or not (run / "config.yaml").is_file():
        raise InputError(
            Problem(
                "this is no run with a student",
                where="RUN",
                got=str(run),
                allowed="a run directory with student/ and config.yaml",
                remedy=resume_command(run) or "ctkd run, which prints the directory that it makes",
            )
        )
    experiment = load(_settings(run / "config.yaml"))
    new = experiment.target.read_inputs(file, asked)
    if len(new.inputs) == 0:
        raise InputError(Problem("there is nothing to label", where=str(file or "standard input")))
    _require_distinct([new.id_column, *asked.keep])
    return new.left_out, _labelled(experiment, run / "student", new)


def _require_distinct(columns: Sequence[str]) -> None:
    """Raise InputError for columns whose names are those of others in what is printed."""
    problems = [
        Problem(
            "what is printed has a column of this name already",
            where="--id" if position == 0 else "--keep",
            got=name,
            remedy="leave it out, or rename it in the file",
        )
        for position, name in enumerate(columns)
        if name in OURS or name in columns[:position]
    ]
    if problems:
        raise InputError(*problems)


def _labelled(experiment: Experiment, student: Path, new: NewInputs) -> Iterator[Labelled]:
    kind = experiment.target
    # This need not be the machine on which the student learnt.
    device = experiment.device.model_copy(update={"accelerator": "auto"})
    backbone = experiment.student
    model = backbone.load_trained(student).to(devices.resolve(device))
    loaded = LoadedModel(model, backbone, backbone.load_preprocessor(student), kind, device)
    names = model.config.id2label
    labels = tuple(names[index] for index in range(len(names)))
    for start in range(0, len(new.inputs), PIECE):
        numbers = range(start, min(start + PIECE, len(new.inputs)))
        piece = new.inputs.select(numbers)
        encoded = kind.encode(piece, loaded.preprocessor)
        offsets = kind.offsets(piece)
        answers = kind.answer(inference.read(loaded, encoded, offsets), offsets, labels)
        ids = [number + 1 for number in numbers]
        if new.ids is not None:
            ids = new.ids.select(numbers)[new.id_column][:]
        each = (
            dict(zip(answers, values, strict=True))
            for values in zip(*(column.to_pylist() for column in answers.values()), strict=True)
        )
        yield Labelled(
            new.id_column,
            [str(name) for name in ids],
            {} if new.kept is None else new.kept.select(numbers)[:],
            [kind.record(row, answer) for row, answer in zip(rows(piece), each, strict=True)],
            kind.formats,
        )


def _settings(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        require_bounded(text)
        settings = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        settings = str(error).splitlines()[0]
    if not isinstance(settings, dict):
        raise InputError(
            Problem("config.yaml is damaged", where=str(file), got=f"{settings!r:.80}")
        )
    return settings
