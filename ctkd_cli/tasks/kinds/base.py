"""What every kind of task can do with its inputs."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ctkd_cli.data._labels import Column, label_column
from ctkd_cli.runtime.lazy import pa, pc, special, torch
from ctkd_cli.settings.component import Component
from ctkd_cli.tasks.kinds._new_inputs import Asked, NewInputs
from ctkd_cli.tasks.metric import MACRO_F1, Metric, class_counts
from ctkd_cli.tasks.positions import spread

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from ctkd_cli.tasks.positions import Labels

Row = Mapping[str, Any]
NOTHING = Asked()
BATCH = 1_000  # rows of a table that are Python objects at one time
SURE = "p(predicted)"  # how sure an answer with several positions is at each
DIGEST = 8  # bytes: among a million examples, two share one with a chance of 3e-8


@dataclass(frozen=True)
class Encoded:
    """A split as one model reads it. It holds neither ids nor labels: the loop joins those.

    rows: one mapping of model inputs per example, in the order of the split.
    lengths: the size of each example, in the kind's own unit (tokens, pixels); batches group by it.
    truncated: how many examples lost content to the length limit.
    offsets: [N + 1], example i has the positions offsets[i] to offsets[i + 1]; None: one each.
    numbers: [S], which place of its example each of them is, rising within an example; may lie on
    disk; None where each has one.
    """

    rows: Sequence[Row]
    lengths: np.ndarray
    truncated: int = 0
    offsets: np.ndarray | None = None
    numbers: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> Encoded:
        """Some of its examples, their inputs in memory."""
        held, lengths = [self.rows[row] for row in rows], self.lengths[rows]
        if self.offsets is None or self.numbers is None:
            return Encoded(held, lengths)
        places, offsets = spread(self.offsets, rows)
        return Encoded(held, lengths, offsets=offsets, numbers=np.asarray(self.numbers[places]))


@dataclass(frozen=True)
class Batch:
    """Some examples as a model reads them. inputs: the keyword arguments of its forward. where: [S]
    places of the positions in its output, flattened over all dimensions but the last; None: the
    model answers once for each example, [B, K]."""

    inputs: Mapping[str, Tensor]
    where: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        return Batch(inputs, None if self.where is None else self.where.to(device))


class Kind(Component):
    """A kind of task: which columns hold the input, and how a model reads it.

    A preprocessor is whatever the backbone ships for its inputs (a tokenizer, an image processor);
    each model brings its own, and kinds are the only code that looks inside.
    """

    package: ClassVar[str] = "tasks.kinds"
    selector: ClassVar[str] = "kind"
    kind: str = ""

    modality: ClassVar[str]  # what a backbone must be able to read: tokens, pixels
    architecture: ClassVar[str] = ""  # which of transformers' Auto classes answers it
    formats: ClassVar[tuple[str, ...]] = ("csv", "jsonl")  # of `ctkd predict`, its default first
    pipeline: ClassVar[str] = ""  # what model hubs call it, and transformers' pipeline
    top_k: ClassVar[int | None] = None  # logits that are kept of a teacher's answer; None: all

    @classmethod
    def entry_point_group(cls) -> str:
        return "ctkd.tasks"  # its name of old

    @abstractmethod
    def columns(self) -> dict[str, str]:
        """Input columns: our name for it -> the user's column name."""

    def conform(self, inputs: Dataset, where: str) -> Dataset:
        """Our columns in the type that this kind reads. Raises InputError when one of them, in
        the data that `where` names, holds something else."""
        return inputs

    def offsets(self, inputs: Dataset) -> np.ndarray | None:
        """[N + 1], of the positions of each example, which the input alone decides: example i has
        offsets[i] to offsets[i + 1]. None: one each."""
        return None

    def read_labels(self, table: Dataset, column: str, where: str) -> Column:
        """The labels of a raw table, a code per position, all examples one after the other."""
        return label_column(table, column, where)

    def choices(self, labels: Sequence[str]) -> list[str]:
        """What `labels` can name in data with these."""
        return [*labels]

    def chosen(
        self, wanted: Sequence[str] | Mapping[str, str], labels: Sequence[str]
    ) -> Mapping[str, str]:
        """What each label of the data becomes that `labels` asks for, in its order."""
        return wanted if isinstance(wanted, Mapping) else {name: name for name in wanted}

    def counted(self, labels: Sequence[str]) -> np.ndarray:
        """[K]: the class that `labels_per_class` counts a label's positions towards; -1: none, as
        for what is not rare or does not begin anything."""
        return np.arange(len(labels))

    def parts(self, labels: Sequence[str]) -> list[tuple[str, str]]:
        """Of each label its prefix, "" for none, and its type: bridges lead from type to type, and
        prefixes follow."""
        return [("", label) for label in labels]

    @abstractmethod
    def encode(
        self, inputs: Dataset, preprocessor: Any, digests: np.ndarray | None = None
    ) -> Encoded:
        """Read a split with one model's preprocessor. `inputs` has the columns we name. digests: of
        the inputs (Split.digests); with them, where reading is dear, it is kept in the cache."""

    @abstractmethod
    def collate(self, rows: Sequence[Row], preprocessor: Any) -> Batch:
        """Encoded rows -> what the model's forward takes, padded to the longest."""

    def loss(
        self,
        logits: Tensor,
        labels: Tensor,
        label_smoothing: float,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """What labelled positions teach, a scalar. logits: [S, K], labels: [S], UNLABELLED (-1)
        where there is none. class_weights: [K], None: all alike."""
        known = labels >= 0
        return torch.nn.functional.cross_entropy(
            logits[known].float(), labels[known], class_weights, label_smoothing=label_smoothing
        )

    def align(self, student: Any, heard: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What the teacher says, [S, ...] each, in the order of the student's positions; student:
        StudentOutputs. Positions that the input decides are so already."""
        return heard

    def metric(self, labels: Sequence[str]) -> Metric:
        """What it is judged by."""
        return MACRO_F1

    def gold(self, labels: Labels, names: Sequence[str]) -> pa.Array:
        """The right answers, one for each of N examples, as predictions.parquet keeps them: a label
        or, where examples have several positions, a list of them, null where there is none."""
        return listed(labels.values, labels.offsets, names)

    def answer(
        self, logits: np.ndarray, offsets: np.ndarray | None, names: Sequence[str]
    ) -> dict[str, pa.Array]:
        """A model's answers, one for each of N examples, as predictions.parquet keeps them, under
        `predicted`, and how sure it is: a column p(LABEL) for each label or, where examples have
        several positions, a list with that of the predicted label. logits: [S, K]."""
        probabilities = special.softmax(logits.astype(np.float64), axis=1)
        best = probabilities.argmax(axis=1)
        predicted = {"predicted": listed(best, offsets, names)}
        if offsets is None:
            each = {f"p({name})": pa.array(probabilities[:, k]) for k, name in enumerate(names)}
            return predicted | each
        sure = probabilities[np.arange(len(best)), best]
        lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(sure))
        return predicted | {SURE: lists}

    def statistics(self, gold: pa.Array, predicted: pa.Array, names: Sequence[str]) -> np.ndarray:
        """[N, C], what the metric counts in each of N examples; sums over examples are what it
        scores. By default the gold, predicted and correct positions of each label."""
        (codes, offsets), (said, _) = codes_of(gold, names), codes_of(predicted, names)
        counts = class_counts(codes, said, len(names))
        if offsets is None:
            return counts
        starts = np.minimum(offsets[:-1], max(0, len(counts) - 1))
        summed = np.add.reduceat(counts, starts, axis=0) if len(counts) else counts
        return np.asarray(summed * (np.diff(offsets) > 0)[:, None])

    def report(self, gold: pa.Array, predicted: pa.Array, names: Mapping[str, str]) -> str:
        """The table of report.txt: scikit-learn's classification report over all positions with a
        label. names: of the labels, in their order, each as it is shown."""
        from sklearn.metrics import classification_report

        (codes, _), (said, _) = codes_of(gold, [*names]), codes_of(predicted, [*names])
        known = codes >= 0
        table: str = classification_report(
            codes[known], said[known], labels=range(len(names)),
            target_names=[*names.values()], digits=3, zero_division=0,
        )  # fmt: skip
        return table

    def errors(self, row: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
        """How an example that was answered wrongly is shown: what is right (`gold`) and what each
        arm said, as text or as pieces of text, each with what it is said to be. row: of
        predictions.parquet; said: the `predicted` of each arm."""
        found = {"gold": row["gold"], **said}
        return {
            name: " ".join("–" if one is None else str(one) for one in answer)
            if isinstance(answer, list)
            else answer
            for name, answer in found.items()
        }

    def record(self, row: Row, answer: Mapping[str, Any]) -> dict[str, Any]:
        """What `ctkd predict` tells of one input. row: of the inputs; answer: what `answer` says of
        it, a value of each column."""
        told = {"input": self.show(row), "predicted": answer["predicted"]}
        if SURE in answer:
            return {**told, "probabilities": answer[SURE]}
        each = {name[2:-1]: p for name, p in answer.items() if name != "predicted"}
        return {**told, "probabilities": each}

    def usage(self, own_code: bool = False) -> str:
        """How a trained model's folder is used where there is no ctkd, for its card; in Markdown.
        Code there answers as `ctkd predict` does: a test runs it. own_code: whether the model's
        code lies in the folder, since transformers has none for it."""
        return "`ctkd predict RUN FILE` labels new inputs."

    def save_preprocessor(self, preprocessor: Any, folder: Path) -> None:
        """Save what reads inputs beside a trained model, with all that these settings say of
        reading, so that the folder alone gives the answers of `ctkd predict`."""
        preprocessor.save_pretrained(folder)

    def tokens(self, encoded: Encoded, preprocessor: Any) -> np.ndarray | None:
        """The ids that batches of a split can hold, sorted; None where inputs are no tokens."""
        return None

    @abstractmethod
    def sizes(self, inputs: Dataset) -> list[int]:
        """The size of each example without any model: words of a text, pixels of an image."""

    size_unit: ClassVar[str]
    per_batch: ClassVar[int] = (
        2_048  # units of `Encoded.lengths` that a model reads at once, on CPU
    )

    def units(self, inputs: Dataset) -> list[float]:
        """What a model reads of each example, in its own unit (tokens, pixels), without asking a
        model: for estimates of cost."""
        return [float(size) for size in self.sizes(inputs)]

    @abstractmethod
    def show(self, row: Row) -> str:
        """One example as plain text, for reports."""

    def texts(self, inputs: Dataset) -> list[str] | None:
        """Each input as a plain text, for what reads texts without any model; None where an input
        is none."""
        return None

    @abstractmethod
    def key(self, row: Row) -> str:
        """What makes two examples the same example; duplicates across splits are found by it."""

    def content(self, row: Row) -> bytes:
        """All that a model can see of an input."""
        return repr([row[name] for name in self.columns()]).encode("utf-8", "surrogatepass")

    def identify(self, inputs: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """`key` of each example, hashed: [N] uint64, 0 for an empty key; and `content`, hashed:
        [N, 2] uint64. Inputs are read and hashed here, once."""
        keys = np.zeros(len(inputs), np.uint64)
        digests = np.empty((len(inputs), 2), np.uint64)
        for position, row in enumerate(rows(inputs)):
            if key := self.key(row).encode("utf-8", "surrogatepass"):
                digest = hashlib.blake2b(key, digest_size=DIGEST).digest()
                keys[position] = int.from_bytes(digest)
            content = hashlib.blake2b(self.content(row), digest_size=2 * DIGEST).digest()
            digests[position] = np.frombuffer(content, np.uint64)
        return keys, digests

    @abstractmethod
    def read_inputs(self, path: Path | None, asked: Asked = NOTHING) -> NewInputs:
        """New, unlabelled inputs for `ctkd predict`, from a file or (None) from stdin; asked: the
        columns that the user names. Raises InputError."""


def listed(codes: np.ndarray, offsets: np.ndarray | None, names: Sequence[str]) -> pa.Array:
    """Names of label indices [S], null for -1; as lists where offsets [N + 1] tell examples
    apart."""
    known = pa.array(codes, mask=codes < 0)
    flat = pa.DictionaryArray.from_arrays(known.cast(pa.int32()), pa.array(names)).cast(pa.string())
    return flat if offsets is None else pa.LargeListArray.from_arrays(pa.array(offsets), flat)


def codes_of(answers: pa.Array, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """What `listed` has made: label indices [S], -1 for null, and offsets. A name that is none of
    these is an error."""
    offsets = None
    if pa.types.is_list(answers.type) or pa.types.is_large_list(answers.type):
        counts = np.asarray(pc.fill_null(pc.list_value_length(answers), 0), np.int64)
        offsets, answers = np.concatenate([[0], np.cumsum(counts)]), answers.flatten()
    found = pc.index_in(answers, value_set=pa.array(names, answers.type))
    if found.null_count > answers.null_count:
        raise ValueError("an answer is none of the task's labels")
    return np.asarray(pc.fill_null(found, -1), np.int64), offsets


def batches(inputs: Dataset) -> Iterator[Mapping[str, list[Any]]]:
    """Some rows of a table at a time, as columns of Python objects."""
    yield from inputs.with_format(None).iter(batch_size=BATCH)


def rows(inputs: Dataset) -> Iterator[Row]:
    """The rows of a table."""
    for columns in batches(inputs):
        names = list(columns)
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(names, values, strict=True))
