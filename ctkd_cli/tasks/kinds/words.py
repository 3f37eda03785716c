from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ctkd_cli.cache.entries import Cache, content_key
from ctkd_cli.data._labels import Column, label_lists
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import pa, pc, torch
from ctkd_cli.tasks import entities, tags
from ctkd_cli.tasks.entities import ENTITY_F1
from ctkd_cli.tasks.kinds._new_inputs import Asked, NewInputs
from ctkd_cli.tasks.kinds._ragged import Ragged
from ctkd_cli.tasks.kinds._tokens import identity, padded, used
from ctkd_cli.tasks.kinds._word_inputs import marked, named_spans, read_words
from ctkd_cli.tasks.kinds._word_tokens import tokenised, windows
from ctkd_cli.tasks.kinds.base import NOTHING, SURE, Batch, Encoded, Kind, Row, codes_of
from ctkd_cli.tasks.metric import Metric

if TYPE_CHECKING:
    from datasets import Dataset

MEANT = {
    "type": "of another type", "boundary": "with other words", "both": "with both wrong",
    "missed": "missed", "spurious": "where none is",
}  # fmt: skip
PIECE = 2_000  # sentences that are tokenised at a time
TOKENS_PER_WORD = 1.5  # punctuation counts as words here; close enough for an estimate
USAGE = """```python
from transformers import pipeline

label = pipeline(
    "token-classification", model="path/to/student", aggregation_strategy="first", stride={}
)
print(label("..."))
```

Put blanks between the words. `stride` has long sentences read in windows, as in training; a word
with signs in it, such as e-mail, may be read as several there."""


class Words(Kind):
    """Label the words of sentences: named entities, parts of speech, chunks."""

    modality: ClassVar[str] = "tokens"
    architecture: ClassVar[str] = "AutoModelForTokenClassification"
    pipeline: ClassVar[str] = "token-classification"
    size_unit: ClassVar[str] = "words"
    formats: ClassVar[tuple[str, ...]] = ("conll", "jsonl")

    words: str = Field("words", description="the column that holds the words of a sentence, a list")
    max_length: int = Field(128, ge=8, description="tokens of a window; longer sentences have more")
    stride: int = Field(32, ge=0, description="tokens that the windows of a sentence share")
    tags: Literal["auto", "spans", "plain"] = Field(
        "auto",
        description="spans: tags such as B-PER and O, scored by entity; plain: each by itself",
    )

    def columns(self) -> dict[str, str]:
        return {"words": self.words}

    def conform(self, inputs: Dataset, where: str) -> Dataset:
        """Words as lists of strings; a word that is missing is empty."""
        from datasets import Dataset

        column = inputs.with_format("arrow")[:]["words"].combine_chunks()
        lists = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
        try:
            words = column.flatten().cast(pa.string()) if lists else None
        except pa.ArrowException:
            words = None
        if words is None:
            raise InputError(
                Problem(
                    "this column does not hold lists of words",
                    where=f"{where}, column {self.words!r}",
                    got=str(column.type),
                    allowed="a list of words per row",
                    remedy="target=conll for files with a word per line, or a column of lists",
                )
            )
        offsets = pa.array(self.offsets(inputs), pa.int32())
        whole = pa.ListArray.from_arrays(offsets, pc.fill_null(words, ""))
        return Dataset(pa.table({"words": whole}))

    def offsets(self, inputs: Dataset) -> np.ndarray:
        column = inputs.with_format("arrow")[:]["words"].combine_chunks()
        lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
        return np.concatenate([[0], np.cumsum(lengths)])

    def read_labels(self, table: Dataset, column: str, where: str) -> Column:
        """Tags of spans as IOB2, whatever scheme they came in."""
        renamed = table.select_columns([self.words]).rename_columns({self.words: "words"})
        offsets = self.offsets(renamed)
        found = label_lists(table, column, where)
        if not found.names:
            return Column((), np.full(offsets[-1], -1))
        wrong = np.flatnonzero(np.diff(found.offsets) != np.diff(offsets))
        if len(wrong):
            row = int(wrong[0])
            n_words, n_tags = (int(np.diff(each)[row]) for each in (offsets, found.offsets))
            raise InputError(
                Problem(
                    "a sentence has other numbers of words and of tags",
                    where=f"{where}, row {row + 1}",
                    got=f"{n_words} words, {n_tags} tags",
                    allowed="a tag for each word",
                )
            )
        if not self._spans(found.names):
            return Column(found.names, found.codes)
        read = tags.as_iob2(found.names, found.codes, offsets)
        note = (
            f"{read.broken} tags do not follow their scheme and begin an entity"
            if read.broken
            else ""
        )
        return Column(read.names, read.codes, note)

    def choices(self, labels: Sequence[str]) -> list[str]:
        """Types of entities, too."""
        return [*(tags.types(labels) if self._spans(labels) else ()), *labels]

    def chosen(
        self, wanted: Sequence[str] | Mapping[str, str], labels: Sequence[str]
    ) -> Mapping[str, str]:
        found = super().chosen(wanted, labels)
        return tags.of_types(found, labels) if self._spans(labels) else found

    def counted(self, labels: Sequence[str]) -> np.ndarray:
        """An entity counts where it begins; where every word is something, each label counts."""
        if not self._spans(labels):
            return np.arange(len(labels))
        types = tags.types(labels)
        return np.array([types.index(tag[2:]) if tag.startswith("B-") else -1 for tag in labels])

    def metric(self, labels: Sequence[str]) -> Metric:
        """Of entities their F1, micro; of tags that stand for themselves macro-F1."""
        return ENTITY_F1 if self._spans(labels) else super().metric(labels)

    def statistics(self, gold: pa.Array, predicted: pa.Array, names: Sequence[str]) -> np.ndarray:
        if not self._spans(names):
            return super().statistics(gold, predicted, names)
        (codes, offsets), (said, _) = codes_of(gold, names), codes_of(predicted, names)
        assert offsets is not None
        return entities.statistics(names, codes, said, offsets)

    def report(self, gold: pa.Array, predicted: pa.Array, names: Mapping[str, str]) -> str:
        """Of entities seqeval's report, with errors by sort; of other tags scikit-learn's."""
        if not self._spans([*names]):
            return super().report(gold, predicted, names)
        from seqeval.metrics import classification_report

        labels = [*names]
        (codes, offsets), (said, _) = codes_of(gold, labels), codes_of(predicted, labels)
        assert offsets is not None
        known = [[tag or "O" for tag in each] for each in gold.to_pylist()]
        answers = [
            [tag if right is not None else "O" for tag, right in zip(*pair, strict=True)]
            for pair in zip(predicted.to_pylist(), gold.to_pylist(), strict=True)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that nobody predicts
            table = classification_report(known, answers, digits=3, zero_division=0)
        sorts = entities.errors(labels, codes, said, offsets)
        told = ", ".join(f"{n} {MEANT[sort]}" for sort, n in sorts.items() if n) or "none"
        return f"{table}\nwrong entities: {told}"

    def errors(self, row: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
        """The sentence of each arm with its entities marked, or the tags that are not agreed on."""
        words = row["input"].split(" ")
        found = {"gold": row["gold"], **said}
        if self._spans(sorted({tag for each in found.values() for tag in each if tag})):
            return {name: marked(words, answer) for name, answer in found.items()}
        agreed = [len(set(tags)) == 1 for tags in zip(*found.values(), strict=True)]
        return {
            name: [
                (word, "" if same else tag or "")
                for word, tag, same in zip(words, answer, agreed, strict=True)
            ]
            for name, answer in found.items()
        }

    def parts(self, labels: Sequence[str]) -> list[tuple[str, str]]:
        if not self._spans(labels):
            return super().parts(labels)
        return [("", label) if label == "O" else (label[0], label[2:]) for label in labels]

    def _spans(self, labels: Sequence[str]) -> bool:
        return tags.are_spans(labels) if self.tags == "auto" else self.tags == "spans"

    def encode(
        self, inputs: Dataset, preprocessor: Any, digests: np.ndarray | None = None
    ) -> Encoded:
        """Tokens, a few thousand sentences at a time; kept, they are memory-mapped."""
        if not preprocessor.is_fast:
            raise InputError(
                Problem(
                    "this tokenizer does not tell which word a token is of",
                    where=f"{self.role}.kind", got=type(preprocessor).__name__,
                    allowed="a model with a fast tokenizer (tokenizer.json)",
                )
            )  # fmt: skip
        limit = min(self.max_length, preprocessor.model_max_length)
        pieces = (
            tokenised(piece["words"], preprocessor, limit, self.stride)
            for piece in inputs.select_columns(["words"]).iter(batch_size=PIECE)
        )
        if digests is not None:
            read = hashlib.sha256(digests.tobytes()).hexdigest()
            key = content_key(read, "words", identity(preprocessor), limit, self.stride)
            folder, _ = Cache("tokens").get(key, lambda folder: Ragged.write(folder, pieces))
            tokens = Ragged.read(folder)
        else:
            tokens = Ragged.join(list(pieces))
        return Encoded(tokens, tokens.lengths, 0, *_positions(tokens))

    def usage(self, own_code: bool = False) -> str:
        return USAGE.format(self.stride)

    def save_preprocessor(self, preprocessor: Any, folder: Path) -> None:
        known = preprocessor.model_max_length
        preprocessor.model_max_length = min(self.max_length, known)
        preprocessor.save_pretrained(folder)
        preprocessor.model_max_length = known

    def tokens(self, encoded: Encoded, preprocessor: Any) -> np.ndarray | None:
        assert isinstance(encoded.rows, Ragged)
        return used(encoded.rows, preprocessor)

    def collate(self, rows: Sequence[Row], preprocessor: Any) -> Batch:
        limit = min(self.max_length, preprocessor.model_max_length)
        whole = [window for row in rows for window in windows(row, limit)]
        for window in whole:
            window["attention_mask"] = np.ones(len(window["input_ids"]), np.int64)
        # Whatever side a tokenizer names: models that count positions from the left would read a
        # sentence another way beside a longer one.
        tensors = padded(whole, preprocessor, "right")
        where = torch.flatten(tensors.pop("position")).nonzero()[:, 0]
        return Batch(tensors, where)

    def sizes(self, inputs: Dataset) -> list[int]:
        return [*map(int, np.diff(self.offsets(inputs)))]

    def units(self, inputs: Dataset) -> list[float]:
        return [TOKENS_PER_WORD * words + 2.0 for words in self.sizes(inputs)]

    def show(self, row: Row) -> str:
        # Blanks within a word do not break it: `errors` parts words at the others.
        return " ".join(word.replace(" ", "\N{NO-BREAK SPACE}") for word in row["words"])

    def record(self, row: Row, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Words, tags, how sure each is, and the entities: from word `start` to before `end`, with
        the mean of how sure their words are."""
        words, tags, sure = row["words"], answer["predicted"], answer[SURE]
        told = {"words": words, "tags": tags, "probabilities": sure}
        if not self._spans(sorted(set(tags) | {"O"})) and set(tags) != {"O"}:
            return told
        return {**told, "spans": named_spans(words, tags, sure)}

    def read_inputs(self, path: Path | None, asked: Asked = NOTHING) -> NewInputs:
        return read_words(path, self.words, asked, self.conform)

    def key(self, row: Row) -> str:
        return "\0".join(word.casefold() for word in row["words"])

    def content(self, row: Row) -> bytes:
        return json.dumps(row["words"]).encode()


def _positions(tokens: Ragged) -> tuple[np.ndarray, np.ndarray]:
    """Offsets [N + 1] and numbers [S] of the positions that tokens of sentences have."""
    flat = tokens.columns["position"]
    if isinstance(flat, int):  # all words are a token, and all sentences a word
        flat = np.full(tokens.offsets[-1], flat)
    counts = np.zeros(len(flat) + 1, np.int64)
    np.cumsum(flat > 0, out=counts[1:])
    numbers = np.asarray(flat[flat > 0], np.int32) - 1
    return counts[tokens.offsets], numbers
