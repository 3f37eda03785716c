"""Labels for new inputs, from the student of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from scipy.special import softmax

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.experiment import load
from ctkd_cli.runtime import devices
from ctkd_cli.settings.plain_data import require_bounded
from ctkd_cli.tasks.kinds.base import rows
from ctkd_cli.training import inference
from ctkd_cli.training.inference import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datasets import Dataset

    from ctkd_cli.experiment import Experiment

PIECE = 10_000  # inputs that are tokens, and answers, at one time


@dataclass(frozen=True)
class Labelled:
    """Some inputs. ids: [N]. inputs: [N], as text. labels: the student's K labels. probabilities:
    [N, K]."""

    ids: Sequence[str]
    inputs: Sequence[str]
    labels: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def predicted(self) -> list[str]:
        return [self.labels[index] for index in self.probabilities.argmax(axis=1)]


def predict(run: Path, file: Path | None) -> Iterator[Labelled]:
    """Label the inputs of a file, or of stdin when it is None, with the student of a run: some at a
    time, in their order.

    Raises InputError, before the first, when there is no complete run, or the file cannot be read.
    """
    if not (run / "student").is_dir() or not (run / "config.yaml").is_file():
        raise InputError(
            Problem(
                "this is no run with a student",
                where="RUN",
                got=str(run),
                allowed="a run directory with student/ and config.yaml",
                remedy="ctkd run, which prints the directory that it makes",
            )
        )
    experiment = load(_settings(run / "config.yaml"))
    inputs = experiment.target.read_inputs(file)
    if len(inputs) == 0:
        raise InputError(Problem("there is nothing to label", where=str(file or "standard input")))
    return _labelled(experiment, run / "student", inputs)


def _labelled(experiment: Experiment, student: Path, inputs: Dataset) -> Iterator[Labelled]:
    kind = experiment.target
    # This need not be the machine on which the student learnt.
    device = experiment.device.model_copy(update={"accelerator": "auto"})
    backbone = experiment.student
    model = backbone.load_trained(student).to(devices.resolve(device))
    loaded = LoadedModel(model, backbone, backbone.load_preprocessor(student), kind, device)
    names = model.config.id2label
    labels = tuple(names[index] for index in range(len(names)))
    for start in range(0, len(inputs), PIECE):
        piece = inputs.select(range(start, min(start + PIECE, len(inputs))))
        encoded = kind.encode(piece, loaded.preprocessor)
        logits = inference.read(loaded, encoded, kind.offsets(piece))
        counted = range(start + 1, start + 1 + len(piece))
        yield Labelled(
            [str(name) for name in (piece["id"] if "id" in piece.column_names else counted)],
            [kind.show(row) for row in rows(piece)],
            labels,
            softmax(logits.astype(np.float64), axis=1),
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
