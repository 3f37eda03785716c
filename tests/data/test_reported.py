"""Files as people have them: compressed, nested, with ids that are missing, with joined labels."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Ctkd = Callable[..., tuple[int, str, str]]
TABLE = "text,label\n" + "".join(f"match {n},sport\nfilm {n},film\n" for n in range(20))
ROWS = [
    {"body": {"text": f"{word} {n}", "meta": {"topic": label}}}
    for n in range(20)
    for word, label in (("match", "sport"), ("film", "film"))
]


def checked(ctkd: Ctkd, tiny_run: list[str], *more: str) -> set[str]:
    code, out, err = ctkd("check", *tiny_run, *more, "--json")
    assert code == 0, err
    return set(json.loads(out)["target"]["counts"]["train"])


def refused(ctkd: Ctkd, tiny_run: list[str], *more: str) -> str:
    code, _, err = ctkd("check", *tiny_run, *more)
    assert code == 2
    return err


def packed(file: Path, text: str) -> None:
    data = text.encode()
    match file.suffix:
        case ".gz":
            file.write_bytes(gzip.compress(data))
        case ".bz2":
            file.write_bytes(bz2.compress(data))
        case ".xz":
            file.write_bytes(lzma.compress(data))
        case ".zip":
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("inside.csv", data)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_compressed_files_are_read(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, suffix: str
) -> None:
    packed(tmp_path / f"d.csv.{suffix}", TABLE)
    assert checked(ctkd, tiny_run, f"target.train=d.csv.{suffix}") == {"sport", "film"}
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    packed(tmp_path / f"d.jsonl.{suffix}", lines)
    nested = ["target.text=body.text", "target.label=body.meta.topic"]
    assert checked(ctkd, tiny_run, f"target.train=d.jsonl.{suffix}", *nested) == {"sport", "film"}
    torn = (tmp_path / f"d.csv.{suffix}").read_bytes()[:-30]
    (tmp_path / f"torn.csv.{suffix}").write_bytes(torn)
    said = refused(ctkd, tiny_run, f"target.train=torn.csv.{suffix}")
    assert "this compressed file is torn" in said


def test_an_archive_of_several_files(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.csv.zip", "w") as archive:
        archive.writestr("a.csv", TABLE)
        archive.writestr("b.csv", TABLE)
    said = refused(ctkd, tiny_run, "target.train=d.csv.zip")
    assert "this archive does not hold one file" in said
    assert "2 files in it" in said


@pytest.mark.parametrize("name", ["d.xlsx", "d.ods", "d.pdf"])
def test_spreadsheets_say_what_to_do(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 and so on")
    assert "save it as CSV" in refused(ctkd, tiny_run, f"target.train={name}")


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_nested_json_is_read_by_dotted_names(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, suffix: str
) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / f"d.{suffix}").write_text(json.dumps(ROWS) if suffix == "json" else lines)
    file = f"target.train=d.{suffix}"
    nested = ["target.text=body.text", "target.label=body.meta.topic"]
    assert checked(ctkd, tiny_run, file, *nested) == {"sport", "film"}
    said = refused(ctkd, tiny_run, file, "target.text=body.txt", "target.label=body.meta.topic")
    assert "did you mean body.text?" in said


def test_a_column_whose_own_name_has_a_dot(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(TABLE.replace("text,label", "body.text,1.0"))
    columns = ["target.text=body.text", "target.label=1.0"]
    assert checked(ctkd, tiny_run, "target.train=d.csv", *columns) == {"sport", "film"}


@pytest.mark.parametrize("ids", [[None] * 40, [None, *range(39)], [""] * 40])
def test_rows_without_an_id_are_counted(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, ids: list[object]
) -> None:
    rows = [
        {"id": name, "text": f"{'match' if n % 2 else 'film'} {n}", "label": "ab"[n % 2]}
        for n, name in enumerate(ids)
    ]
    (tmp_path / "d.json").write_text(json.dumps(rows))
    assert checked(ctkd, tiny_run, "target.train=d.json") == {"a", "b"}
    rows[3]["id"] = rows[4]["id"] = "twice"
    (tmp_path / "d.json").write_text(json.dumps(rows))
    assert "row 5 has an id" in refused(ctkd, tiny_run, "target.train=d.json")


@pytest.mark.parametrize("delimiter", [";", "|", ", ", "/", "+"])
def test_labels_that_are_joined_from_others(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, delimiter: str
) -> None:
    names = ["sport", "film", "tech"]
    joined = [f"{a}{delimiter}{b}" for a in names for b in names if a != b]
    lines = [f'match {n},"{label}"' for n in range(20) for label in [*names, *joined]]
    (tmp_path / "d.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    said = refused(ctkd, tiny_run, "target.train=d.csv")
    assert "several labels for one example" in said
    assert "not supported yet" in said


@pytest.mark.parametrize(
    "labels",
    [
        ["rec/autos", "rec/motorcycles", "sci/space", "sci/med"],
        ["a;b", "c;d", "e"],
        ["yes", "no", "yes/no"],
        ["C++", "C", "C#"],
    ],
)
def test_labels_that_only_hold_a_delimiter(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, labels: list[str]
) -> None:
    lines = [f"match {n} {place},{label}" for n in range(20) for place, label in enumerate(labels)]
    (tmp_path / "d.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    assert checked(ctkd, tiny_run, "target.train=d.csv") == set(labels)


def test_inputs_that_are_all_empty(ctkd: Ctkd, tiny_run: list[str], tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(
        "text,body,label\n" + "".join(f",match {n},sport\n ,film {n},film\n" for n in range(20))
    )
    said = refused(ctkd, tiny_run, "target.train=d.csv")
    assert "every input is empty" in said
    assert "column 'text' of train" in said
    assert "a column that holds inputs: body" in said
    assert "try:     target.text=COLUMN" in said
    assert checked(ctkd, tiny_run, "target.train=d.csv", "target.text=body") == {"sport", "film"}
