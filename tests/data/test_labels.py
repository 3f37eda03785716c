"""Names of labels, from columns of any type."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset

from ctkd_cli.data._labels import label_column
from ctkd_cli.errors import InputError

GAP = float("nan")


def label_names(table: Dataset, column: str, where: str) -> list[str | None]:
    """The label of each row by name."""
    found = label_column(table, column, where)
    return [None if code < 0 else found.names[code] for code in found.codes]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (
            ["1", "1.0", " NA ", "null", "", "  ", None],
            ["1", "1.0", "NA", "null", None, None, None],
        ),
        ([1, 2, None], ["1", "2", None]),
        ([1.0, 2.5, GAP, None], ["1", "2.5", None, None]),
        ([-1.0, 0.0], ["-1", "0"]),
        ([None, None], [None, None]),
        (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
    ],
    ids=["strings", "integers", "floats", "negative", "none", "categories"],
)
def test_names(values: object, names: list[str | None]) -> None:
    table = Dataset(pa.table({"y": values}))
    assert label_names(table, "y", "target") == names


def test_class_labels_give_their_names() -> None:
    table = Dataset.from_dict({"y": [1, 0, -1]}).cast_column("y", ClassLabel(names=["no", "yes"]))
    assert label_names(table, "y", "target") == ["yes", "no", None]


def test_no_such_column_is_no_label() -> None:
    assert label_names(Dataset.from_dict({"x": [1, 2]}), "y", "target") == [None, None]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"a"])
def test_several_labels_per_row_are_refused(value: object) -> None:
    table = Dataset(pa.table({"y": pa.array([None, value])}))
    with pytest.raises(InputError, match="one text or one number"):
        label_names(table, "y", "target")
