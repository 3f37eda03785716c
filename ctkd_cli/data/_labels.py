"""Names of labels, from whatever a table holds in its label column."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import pa, pc
from ctkd_cli.settings.literals import as_typed, literal

if TYPE_CHECKING:
    from datasets import Dataset

DELIMITERS = (";", "|", ",", "/", "+")  # between several labels in one cell
IGNORED = -100
MOST = 1000  # labels of a task: reports have a row, and predictions a column, for each


@dataclass(frozen=True)
class Column:
    """The labels of N rows. names: those that occur. codes: [N], index into names, -1 where a row
    has none. note: what should be said of how they were read, if anything."""

    names: tuple[str, ...]
    codes: np.ndarray
    note: str = ""


def label_column(table: Dataset, column: str, where: str) -> Column:
    """The label of each row.

    Strings stay as they are written, but for space around them. A whole number has one name,
    whether a file holds it as 1 or, as columns with gaps often do, as 1.0. A ClassLabel gives its
    names; its -1 is no label. Raises InputError when the column holds lists or bytes.
    """
    unlabelled = Column((), np.full(len(table), -1))
    if column not in table.column_names:
        return unlabelled
    values = table.with_format("arrow")[:][column]
    if pa.types.is_null(values.type):
        return unlabelled
    if isinstance(values.type, pa.ExtensionType) or pa.types.is_nested(values.type) or (
        pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
    ):  # fmt: skip
        compound = next((v for v in values.slice(0, 1000).to_pylist() if v is not None), None)
        raise InputError(
            Problem(
                "a label must be one text or one number",
                where=where,
                got=f"{compound!r:.80}",
                remedy="a column with one label per row",
            )
        )
    # Of a ClassLabel, the column holds numbers and the feature their names.
    return _coded(values.combine_chunks(), getattr(table.features[column], "names", None))


@dataclass(frozen=True)
class ListColumn:
    """The labels of N rows with several each. names: those that occur. codes: [S], index into
    names, -1 where there is none; offsets: [N + 1], row i has codes[offsets[i]:offsets[i + 1]]."""

    names: tuple[str, ...]
    codes: np.ndarray
    offsets: np.ndarray


def label_lists(table: Dataset, column: str, where: str) -> ListColumn:
    """The labels of each row, a list of texts, numbers or ClassLabels, as `label_column` reads one.
    A row without a list has none, and -100 is none (transformers' index to ignore). Raises
    InputError when the column holds something else."""
    nothing = ListColumn((), np.empty(0, np.int64), np.zeros(len(table) + 1, np.int64))
    if column not in table.column_names:
        return nothing
    values = table.with_format("arrow")[:][column].combine_chunks()
    if pa.types.is_null(values.type):
        return nothing
    if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)) or (
        pa.types.is_nested(values.type.value_type)
    ):
        raise InputError(
            Problem(
                "this column does not hold a list of labels per row",
                where=where,
                got=str(values.type),
                allowed="a list with a label for each word",
            )
        )
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0), np.int64)
    inner = getattr(table.features[column], "feature", table.features[column])
    inner = inner[0] if isinstance(inner, list) else inner
    flat = values.flatten()
    if pa.types.is_integer(flat.type):
        flat = pc.if_else(pc.equal(flat, IGNORED), None, flat)
    found = _coded(flat, getattr(inner, "names", None))
    return ListColumn(found.names, found.codes, np.concatenate([[0], np.cumsum(lengths)]))


def any_labelled(table: Dataset, column: str, where: str) -> bool:
    """Whether a row has a label, or a list with one. Raises InputError when the column holds
    neither."""
    type_ = table.features.arrow_schema.field(column).type
    listed = pa.types.is_list(type_) or pa.types.is_large_list(type_)
    return bool((label_lists if listed else label_column)(table, column, where).names)


def _coded(values: pa.Array, listed: list[str] | None) -> Column:
    """Codes of values. listed: the names that numbers stand for."""
    encoded = pc.dictionary_encode(values)
    found = [_name(value, listed) for value in encoded.dictionary.to_pylist()]
    names = dict.fromkeys(name for name in found if name is not None)
    position = {name: row for row, name in enumerate(names)}
    place = [position.get(name, -1) if name is not None else -1 for name in found]
    raw = np.asarray(pc.fill_null(encoded.indices, len(found)))  # the last: no value at all
    return Column(tuple(names), np.array([*place, -1], np.int64)[raw])


def _name(value: Any, listed: list[str] | None) -> str | None:
    if value is None or value != value:  # NaN
        return None
    if listed is not None:
        return None if value < 0 else listed[value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def problems(labels: Sequence[str], role: str, column: str, chosen: bool) -> list[Problem]:
    """What is wrong with a task's labels. chosen: by the user, who then means labels that look
    alike to be two."""
    where = f"{role}.label, column {column!r}"
    if len(labels) < 2:
        return [Problem("a task needs at least two labels", where=where, got=str(list(labels)))]
    if not chosen and (several := _joined(labels)):
        delimiter, example = several
        return [
            Problem(
                "these look like several labels for one example, which is not supported yet",
                where=where, got=repr(example),
                allowed=f"one label per row, and none that others make up with {delimiter!r}",
                remedy=f"keep one of them in each row (in pandas: "
                f"table[{column!r}].str.split({delimiter!r}).str[0]); if each is one label, name "
                f"all in {role}.labels=[...]",
            )
        ]  # fmt: skip
    if len(labels) > MOST:
        return [
            Problem(
                f"this column holds {len(labels):,} labels", where=where,
                got=", ".join(map(repr, labels[:3])) + ", ...", allowed=f"up to {MOST:,} labels",
                remedy=f"{role}.label=COLUMN, or {role}.labels=[...] to keep some",
            )
        ]  # fmt: skip
    if chosen:
        return []
    alike: dict[str, list[str]] = {}
    for name in labels:
        alike.setdefault(_folded(name), []).append(name)
    joined = {name: alike[_folded(name)][-1] for name in labels}
    one, both = (f"{role}.labels={literal(value)}" for value in (joined, list(labels)))
    return [
        Problem(
            "these labels differ only in how they are written", where=where,
            got=", ".join(map(repr, names)),
            allowed="labels that differ in more than case, blanks or the form of a number",
            remedy=f"{shlex.quote(as_typed(one))} makes them one, "
            f"{shlex.quote(as_typed(both))} keeps both",
        )
        for names in alike.values()
        if len(names) > 1
    ]  # fmt: skip


def _joined(labels: Sequence[str]) -> tuple[str, str] | None:
    """The delimiter by which most labels are made up of others, and one of them; None when they
    are not."""
    for delimiter in DELIMITERS:
        parts = {name: [part.strip() for part in name.split(delimiter)] for name in labels}
        seen = Counter(part for each in parts.values() for part in set(each))
        made_up = [
            name
            for name, each in parts.items()
            if len(each) > 1 and all(part and seen[part] > 1 for part in each)
        ]
        if 2 * len(made_up) > len(labels):
            return delimiter, made_up[0]
    return None


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?")


def _folded(name: str) -> str:
    """What two spellings of one label have in common. Numbers are compared exactly."""
    text = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
    return str(Fraction(text)) if NUMBER.fullmatch(text) and text.isascii() else text
