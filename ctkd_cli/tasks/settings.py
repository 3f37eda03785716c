"""The settings of a task: keys that all have, with those of its kind and its reader."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ctkd_cli.data.base import Reader
from ctkd_cli.settings.component import Frozen
from ctkd_cli.tasks.kinds.base import Kind

Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=0)]


class TaskSettings(Frozen):
    """The keys that every task has, whatever its kind and wherever its examples come from."""

    kind: str
    reader: str
    label: str = Field("label", description="the column that holds the label")
    labels: tuple[str, ...] | dict[str, str] | None = Field(
        None, description="labels to keep, in this order; a mapping also renames or merges them"
    )
    labels_per_class: Annotated[int, Field(ge=1)] | None = Field(
        None, description="labelled examples kept per class, drawn with the run's seed"
    )
    group: str | None = Field(
        None,
        description="the column that says which examples belong together, such as a patient or a "
        "document: they share a split, and intervals draw them together",
    )
    validation_size: Count | Fraction | None = Field(
        None,
        description="when the data has no validation split: examples per class (int) or a share "
        "of train (float); default: none with labels_per_class, else 0.1",
    )
    test_size: Fraction = Field(
        0.2, description="share of the data held out when it has no test split"
    )
    split_seed: int = Field(0, description="seed of the splits; independent of the run's seed")
    limit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="about so many examples per split, every label kept (for smoke runs)"
    )


class AnyTask(TaskSettings, Kind, Reader):
    """The static type of a task's settings: common keys, a kind's and a reader's, in one flat set.

    The class of a real task is composed from the chosen kind and reader (experiment.py).
    """
