from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ctkd_cli.cache.entries import Cache, content_key
from ctkd_cli.cache.file_hash import of_code_elsewhere
from ctkd_cli.data._columns import with_dotted
from ctkd_cli.data._packed import without_suffix
from ctkd_cli.data._source import Source
from ctkd_cli.data._tables import FORMATS, OF_OFFICES, read_table
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime import streams
from ctkd_cli.tasks.kinds._new_inputs import Asked, NewInputs
from ctkd_cli.tasks.kinds._ragged import Ragged
from ctkd_cli.tasks.kinds._tokens import identity, padded, used
from ctkd_cli.tasks.kinds.base import NOTHING, Batch, Encoded, Kind, Row, rows

if TYPE_CHECKING:
    from datasets import Dataset


PIECE = 5_000  # texts that are tokenised at a time
TRUNCATED = "truncated.json"
TOKENS_PER_WORD = 1.3  # English word pieces; close enough for an estimate
USAGE = """```python
from transformers import pipeline

classify = pipeline(
    "text-classification", model="path/to/student", truncation=True, top_k=None{}
)
print(classify({}))
```

`truncation=True` cuts long texts where the student was trained to have them cut."""
TRUSTED = ", trust_remote_code=True"
OWN_CODE = """`trust_remote_code=True` runs the Python file of this folder that makes the model of
its weights, a few lines; a student of transformers' own (`student.pooling=head`) needs none."""


class Text(Kind):
    """Classify texts, or pairs of texts."""

    modality: ClassVar[str] = "tokens"
    architecture: ClassVar[str] = "AutoModelForSequenceClassification"
    pipeline: ClassVar[str] = "text-classification"
    size_unit: ClassVar[str] = "words"
    text: str = Field("text", description="the column that holds the text")
    text_pair: str | None = Field(None, description="a second column, for pairs of texts")
    max_length: int = Field(
        128, ge=4, description="tokens kept of a text; more is cut off, counted and reported"
    )

    @model_validator(mode="after")
    def _pairs_are_two_columns(self) -> Text:
        if self.text == self.text_pair:
            raise InputError(
                Problem(
                    "text and text_pair are one column",
                    where=f"{self.role}.text_pair",
                    got=self.text,
                )
            )
        return self

    def columns(self) -> dict[str, str]:
        pair = {"text_pair": self.text_pair} if self.text_pair else {}
        return {"text": self.text, **pair}

    def conform(self, inputs: Dataset, where: str) -> Dataset:
        """Texts as strings: numbers as they are written, missing texts empty."""
        import pyarrow as pa
        import pyarrow.compute as pc
        from datasets import Dataset

        table = inputs.with_format("arrow")[:]
        columns, problems = {}, []
        for ours, theirs in self.columns().items():
            try:
                columns[ours] = pc.fill_null(table[ours].cast(pa.string()), "")
            except pa.ArrowException:
                problems.append(
                    Problem(
                        "this column does not hold texts",
                        where=f"{where}, column {theirs!r}",
                        got=str(table[ours].type),
                        allowed="one text per row",
                    )
                )
        if problems:
            raise InputError(*problems)
        return Dataset(pa.table(columns))

    def encode(
        self, inputs: Dataset, preprocessor: Any, digests: np.ndarray | None = None
    ) -> Encoded:
        """Tokens, a few thousand texts at a time; kept, they are memory-mapped."""
        limit = min(self.max_length, preprocessor.model_max_length)
        columns = list(self.columns())
        pieces = (
            _tokens([piece[name] for name in columns], preprocessor, limit)
            for piece in inputs.select_columns(columns).iter(batch_size=PIECE)
        )
        if digests is not None:
            read = hashlib.sha256(digests.tobytes()).hexdigest()
            own = [(self.kind, each) for each in of_code_elsewhere(self).items()]
            key = content_key(read, columns, identity(preprocessor), limit, *own)
            folder, _ = Cache("tokens").get(key, lambda folder: _write(folder, pieces))
            tokens, truncated = Ragged.read(folder), json.loads((folder / TRUNCATED).read_text())
        else:
            found = list(pieces)
            tokens, truncated = Ragged.join([piece for piece, _ in found]), sum(n for _, n in found)
        return Encoded(tokens, tokens.lengths, truncated)

    def usage(self, own_code: bool = False) -> str:
        inputs = '{"text": "...", "text_pair": "..."}' if self.text_pair else '"..."'
        if own_code:
            return f"{USAGE.format(TRUSTED, inputs)} {OWN_CODE}"
        return USAGE.format("", inputs)

    def save_preprocessor(self, preprocessor: Any, folder: Path) -> None:
        known = preprocessor.model_max_length
        preprocessor.model_max_length = min(self.max_length, known)
        preprocessor.save_pretrained(folder)
        preprocessor.model_max_length = known

    def tokens(self, encoded: Encoded, preprocessor: Any) -> np.ndarray | None:
        assert isinstance(encoded.rows, Ragged)
        return used(encoded.rows, preprocessor)

    def collate(self, rows: Sequence[Row], preprocessor: Any) -> Batch:
        return Batch(padded(rows, preprocessor, preprocessor.padding_side))

    def sizes(self, inputs: Dataset) -> list[int]:
        return [sum(len(text.split()) for text in row.values()) for row in rows(inputs)]

    def units(self, inputs: Dataset) -> list[float]:
        return [min(TOKENS_PER_WORD * words + 2.0, self.max_length) for words in self.sizes(inputs)]

    def show(self, row: Row) -> str:
        return " ¦ ".join(row[name] for name in self.columns())

    def texts(self, inputs: Dataset) -> list[str]:
        return [" ".join(row[name] for name in self.columns()) for row in rows(inputs)]

    def key(self, row: Row) -> str:
        return "\0".join(" ".join(row[name].split()).casefold() for name in self.columns())

    def read_inputs(self, path: Path | None, asked: Asked = NOTHING) -> NewInputs:
        """A table with our columns (CSV, TSV, JSON, JSONL, Parquet, Arrow), or plain lines."""
        tables = (*FORMATS, *OF_OFFICES)
        if path is None or Path(without_suffix(path.name)).suffix.lower() not in tables:
            asked.require_none(path)
        if path is None:
            source = Source(Path("standard input"), "FILE")
            return self._lines(source, source.decode(streams.read_input()))
        if Path(without_suffix(path.name)).suffix.lower() not in tables:
            source = Source.find(path, "FILE")
            return self._lines(source, source.text())
        table = read_table(path, "FILE", guess=True)
        columns = self._columns_of(table, asked)
        table = with_dotted(table, columns.values())
        asked.require_there(table, columns.values(), str(path))
        chosen = table.select_columns(list(columns.values()))
        inputs = self.conform(
            chosen.rename_columns({theirs: ours for ours, theirs in columns.items()}), str(path)
        )
        return NewInputs.of_table(inputs, table, asked, columns.values())

    def _columns_of(self, table: Dataset, asked: Asked) -> dict[str, str]:
        """Where a table holds our columns: as asked; under the task's names, or under ours; a table
        of texts alone may call them anything."""
        present = table.column_names
        ours = list(self.columns())
        if asked.inputs:
            if len(asked.inputs) != len(ours) or len(set(asked.inputs)) != len(ours):
                raise InputError(
                    Problem(
                        f"this student reads {len(ours)} column{'s' * (len(ours) > 1)}",
                        where="--text",
                        got=", ".join(asked.inputs),
                        allowed=" ".join(f"--text {name}" for name in self.columns().values()),
                    )
                )
            return dict(zip(ours, asked.inputs, strict=True))
        if len(present) == len(ours) == 1:
            return {"text": present[0]}
        return {
            name: name if theirs not in present and name in present else theirs
            for name, theirs in self.columns().items()
        }

    def _lines(self, source: Source, text: str) -> NewInputs:
        """One text per line, with the line's number as its id; blank lines are none."""
        from datasets import Dataset

        if self.text_pair:
            raise source.refuse(
                "this student reads pairs of texts, which plain lines cannot hold",
                allowed=f"a table with the columns {self.text} and {self.text_pair}",
            )
        # Not splitlines: a text may hold other separators of lines, such as U+2028.
        lines = text.replace("\r\n", "\n").split("\n")
        filled = [(str(n), line) for n, line in enumerate(lines, 1) if line.strip()]
        ids, texts = zip(*filled, strict=True) if filled else ((), ())
        return NewInputs(Dataset.from_dict({"text": texts}), Dataset.from_dict({"id": ids}))


def _tokens(columns: Sequence[Sequence[str]], preprocessor: Any, limit: int) -> tuple[Ragged, int]:
    """The tokens of some texts (or pairs), and how many texts were cut. One call: tokenizers run in
    Rust, on all cores."""
    encoded = preprocessor(*map(list, columns), truncation=True, max_length=limit, verbose=False)
    names = [name for name in preprocessor.model_input_names if name in encoded]
    tokens = Ragged.of({name: encoded[name] for name in names}, below=len(preprocessor))
    if encoded.encodings is not None:
        return tokens, sum(bool(encoding.overflowing) for encoding in encoded.encodings)
    full = preprocessor(*map(list, columns), truncation=False, verbose=False)["input_ids"]
    return tokens, sum(len(ids) > limit for ids in full)


def _write(folder: Path, pieces: Iterable[tuple[Ragged, int]]) -> None:
    truncated = 0

    def counted() -> Iterator[Ragged]:
        nonlocal truncated
        for tokens, cut in pieces:
            truncated += cut
            yield tokens

    Ragged.write(folder, counted())
    (folder / TRUNCATED).write_text(json.dumps(truncated))
