"""Labels for new inputs, from the student of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from scipy.special import softmax

from ctkd_cli import inference
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.experiment import load
from ctkd_cli.plain_data import require_bounded
from ctkd_cli.tasks.base import rows

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Labelled:
    """ids: [N]. inputs: [N], as text. labels: the student's K labels. probabilities: [N, K]."""

    ids: Sequence[str]
    inputs: Sequence[str]
    labels: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def predicted(self) -> list[str]:
        return [self.labels[index] for index in self.probabilities.argmax(axis=1)]


def predict(run: Path, file: Path | None) -> Labelled:
    """Label the inputs of a file, or of stdin when it is None, with the student of a run.

    Raises InputError when there is no complete run, or the file cannot be read.
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
    kind = experiment.target
    inputs = kind.read_inputs(file)
    if len(inputs) == 0:
        raise InputError(Problem("there is nothing to label", where=str(file or "standard input")))
    model = experiment.student.load_trained(run / "student")
    preprocessor = experiment.student.load_preprocessor(run / "student")
    encoded = kind.encode(inputs, preprocessor, keep=False)
    logits = inference.read(model, kind, encoded, preprocessor, experiment.device)
    names = model.config.id2label
    ids = inputs["id"] if "id" in inputs.column_names else range(1, len(inputs) + 1)
    return Labelled(
        [str(name) for name in ids],
        [kind.show(row) for row in rows(inputs)],
        tuple(names[index] for index in range(len(names))),
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
