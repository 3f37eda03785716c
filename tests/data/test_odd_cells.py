"""One table of odd cells through every reader: the same cells are the same texts and labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from ctkd_cli.data._labels import label_column
from ctkd_cli.data._tables import read_table
from ctkd_cli.data.files import Files
from ctkd_cli.data.hub import Hub
from ctkd_cli.data.saved import Saved

if TYPE_CHECKING:
    from datasets import Dataset

Ctkd = Callable[..., tuple[int, str, str]]
ODD = [
    "NA", "N/A", "n/a", "null", "NULL", "None", "none", "nan", "NaN", "<NA>", "#N/A", "-", "-1",
    "007", "7", "1e5", "100000", "1_000", "1.0", "1", "0x10", "True", "true", "yes", "no", "inf",
    "2024-01-01", "2024-01-01T00:00:00", "12:30", "=1+1", "9007199254740993", "9007199254740992",
    "Größe", "[1, 2]", '{"a": 1}', "a,b", 'say "x"', "a;b", "\\N", "line\nline",
]  # fmt: skip
ROWS = [{"id": f"row {n}", "text": cell, "label": cell} for n, cell in enumerate(ODD)]


class Source(Files):
    role = "target"


class OnHub(Hub):
    role = "target"


class OnDisk(Saved):
    role = "target"


def delimited(file: Path, delimiter: str) -> Path:
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ROWS[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return file


def written(file: Path) -> Path:
    """The table in the format that the file's name tells."""
    table = pa.Table.from_pylist(ROWS)
    match file.suffix:
        case ".csv":
            delimited(file, ",")
        case ".tsv":
            delimited(file, "\t")
        case ".json":
            file.write_text(json.dumps(ROWS))
        case ".jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        case ".parquet":
            pq.write_table(table, file)
        case ".arrow":
            feather.write_feather(table, file, compression="uncompressed")
    return file


def from_file(folder: Path, suffix: str) -> Mapping[str, Dataset]:
    file = written(folder / f"train.{suffix}")
    return Source(train=str(file)).read({"text": "text"}, "label")


def from_hub(folder: Path, suffix: str) -> Mapping[str, Dataset]:
    (folder / "data").mkdir()
    written(folder / "data" / f"train.{suffix}")
    return OnHub(path=str(folder / "data")).read({"text": "text"}, "label")


def from_hub_declared(folder: Path, suffix: str) -> Mapping[str, Dataset]:
    """A card that says what the columns hold."""
    (folder / "data").mkdir()
    written(folder / "data" / f"train.{suffix}")
    columns = "".join(f"  - name: {name}\n    dtype: string\n" for name in ROWS[0])
    card = f"---\ndataset_info:\n  features:\n{columns}---\n"
    (folder / "data" / "README.md").write_text(card)
    return OnHub(path=str(folder / "data")).read({"text": "text"}, "label")


def from_hub_in_its_own_words(folder: Path, suffix: str) -> Mapping[str, Dataset]:
    """A card that says how to read it, which `load_dataset` does."""
    found = folder / "data"
    found.mkdir()
    written(found / f"train.{suffix}")
    card = '---\nconfigs:\n- config_name: default\n  data_files: "*.csv"\n  escapechar: "~"\n---\n'
    (found / "README.md").write_text(card)
    return OnHub(path=str(found)).read({"text": "text"}, "label")


def from_saved(folder: Path, suffix: str) -> Mapping[str, Dataset]:
    from datasets import Dataset, DatasetDict

    DatasetDict({"train": Dataset.from_list(ROWS)}).save_to_disk(folder / "saved")
    return OnDisk(folder=str(folder / "saved")).read({"text": "text"}, "label")


def from_corpus(folder: Path, suffix: str) -> Mapping[str, Dataset]:
    """As `ctkd fetch` keeps one."""
    return {"train": read_table(written(folder / "train.parquet"), "corpus mine")}


@pytest.mark.parametrize(
    ("reader", "suffix"),
    [
        *((from_file, suffix) for suffix in ("csv", "tsv", "json", "jsonl", "parquet", "arrow")),
        *((from_hub, suffix) for suffix in ("csv", "tsv", "json", "jsonl", "parquet")),
        *((from_hub_declared, suffix) for suffix in ("csv", "jsonl", "parquet")),
        (from_hub_in_its_own_words, "csv"),
        (from_saved, ""),
        (from_corpus, ""),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_odd_cells(
    tmp_path: Path, reader: Callable[[Path, str], Mapping[str, Dataset]], suffix: str
) -> None:
    table = reader(tmp_path, suffix)["train"]
    assert list(table["text"]) == ODD
    assert list(table["id"]) == [row["id"] for row in ROWS]
    labels = label_column(table, "label", "target.label")
    assert [labels.names[code] for code in labels.codes] == ODD


def test_a_class_called_na_on_the_hub(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with (folder / "train.csv").open("w") as stream:
        stream.write("text,label\n")
        for row in range(20):
            stream.write(f"match goal {row},NA\nfilm actor {row},EU\nnull {row},007\n")
    hub = [*tiny_run, "target=hub", f"target.path={folder}", "~target.train"]
    code, out, err = ctkd("check", *hub, "--json")
    assert code == 0, err
    counts = json.loads(out)["target"]["counts"]
    assert {label for part in counts.values() for label in part} == {"NA", "EU", "007"}
