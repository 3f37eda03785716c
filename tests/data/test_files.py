"""Your own files: what is read, and what is refused, with words that help."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ctkd_cli.data.files import Files
from ctkd_cli.errors import InputError

COLUMNS = {"text": "Überschrift"}
HEADER = "Überschrift,Gefühl\n"
ROWS = 'schöne Grüße,gut\n"mit, Komma",schlecht\nNA,gut\n'


class Target(Files):
    role = "target"


def read(path: Path | str, **settings: str) -> dict[str, list[object]]:
    table = Target(train=str(path), **settings).read(COLUMNS, "Gefühl")["train"]
    return dict(table.to_dict())


def parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_umlauts_and_marks_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "daten.csv"
    path.write_bytes((HEADER + ROWS).encode(encoding))
    settings = {"encoding": "latin-1"} if encoding == "latin-1" else {}
    assert read(path, **settings) == {
        "Überschrift": ["schöne Grüße", "mit, Komma", "NA"],
        "Gefühl": ["gut", "schlecht", "gut"],
    }


def test_cells_stay_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "stars.tsv"
    path.write_text("Überschrift\tGefühl\n1e5\t1\nnull\t1.0\n007\t\n")
    assert read(path) == {"Überschrift": ["1e5", "null", "007"], "Gefühl": ["1", "1.0", ""]}


def test_quoted_cells_may_hold_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text(HEADER + '"one\ntwo",gut\n\n"three",gut\n')
    assert read(path)["Überschrift"] == ["one\ntwo", "three"]


def test_a_mark_is_no_part_of_a_name_though_the_encoding_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((HEADER + ROWS).encode("utf-8-sig"))
    assert "Überschrift" in read(path, encoding="utf-8")


def test_blank_lines_before_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n\r\n" + HEADER + ROWS)
    assert read(path)["Gefühl"] == ["gut", "schlecht", "gut"]


def test_strings_of_json_may_hold_separators_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"Überschrift": "a\u2028b\x85c", "Gefühl": "gut"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\r\n", newline="")
    assert read(path)["Überschrift"] == ["a\u2028b\x85c"]


def test_json_columns_that_arrow_cannot_hold_become_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    rows = [
        {"Überschrift": "a", "Gefühl": 1, "mixed": "x", "lists": [1, "y"], "large": 2**70},
        {"Überschrift": "b", "Gefühl": 2.5, "mixed": True, "lists": [], "large": 1},
    ]
    path.write_text(json.dumps(rows))
    assert read(path) == {
        "Überschrift": ["a", "b"],
        "Gefühl": [1.0, 2.5],
        "mixed": ["x", "true"],
        "lists": ['[1, "y"]', "[]"],
        "large": [str(2**70), "1"],
    }


def test_labels_of_the_unlabelled_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROWS)
    (tmp_path / "more.csv").write_text(HEADER + "x,a label of its own\n")
    settings = Files(train=str(tmp_path / "a.csv"), unlabelled=str(tmp_path / "more.csv"))
    assert settings.read(COLUMNS, "Gefühl")["unlabelled"].to_dict() == {"Überschrift": ["x"]}


def test_a_test_file_without_any_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROWS)
    (tmp_path / "b.csv").write_text(HEADER + "x, \n")
    settings = Files(train=str(tmp_path / "a.csv"), test=str(tmp_path / "b.csv"))
    with pytest.raises(InputError, match=r"no row has a label(.|\n)*b\.csv"):
        settings.read(COLUMNS, "Gefühl")


def test_json_lines_json_parquet_and_arrow_agree(tmp_path: Path) -> None:
    rows = [{"Überschrift": "ä", "Gefühl": "gut"}, {"Überschrift": "b", "Gefühl": None}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as writer:
        writer.write_table(table)
    expected = {"Überschrift": ["ä", "b"], "Gefühl": ["gut", None]}
    for name in ("a.jsonl", "a.json", "a.parquet", "a.arrow", "stream.arrow"):
        assert read(tmp_path / name) == expected, name


REPEATED = parquet(pa.Table.from_arrays([pa.array(["a"])] * 2, names=["a", "a"]))
BAD = {
    "empty.csv": (b"", "empty", ""),
    "mark.csv": (b"\xef\xbb\xbf", "empty", ""),
    "blank.csv": (b"\n\n\n", "empty", ""),
    "header.csv": (HEADER.encode(), "a header and no rows", ""),
    "semicolons.csv": (
        HEADER.replace(",", ";").encode() + b"a;b\n", "another delimiter", 'delimiter=";"',
    ),
    "ragged.csv": ((HEADER + "a,b\na,b,c\n").encode(), "line 3 has 3 cells", "quote cells"),
    "twice.csv": (b"x,x\n1,2\n", "names a column twice", ""),
    "broken.csv": (HEADER.encode() + b"ok,gut\n\xfc,gut\n", "line 3 is not utf-8", "latin-1"),
    "nul.csv": (HEADER.encode() + b"a\0b,gut\n", "line 2 holds a NUL byte", ""),
    "quotes.csv": (HEADER.encode() + b'"open,gut\n', "malformed", ""),
    "columns.csv": (b"Uberschrift,Gefuhl\na,b\n", "no such column", ""),
    "torn.jsonl": (b'{"a": 1}\n{"a": \n', "line 2 is no JSON", ""),
    "torn.json": (b'[\n{"a": 1},\n{"a"\n]', "line 4 is no JSON", ""),
    "lines.json": (b'{"a": 1}\n{"a": 2}\n', "line 2 is no JSON", "target.format=jsonl"),
    "scalars.json": (b"[1, 2]", "holds no table", ""),
    "columns.json": (b'{"a": [1, 2]}', "holds no table", "a list of objects"),
    "list.jsonl": (b'[{"a": 1}]\n', "holds no table", "an object per line"),
    "deep.json": (b"[" * 100_000, "nested too deeply", ""),
    "surrogate.jsonl": (b'{"a": "b"}\n{"a": "\\ud83d"}\n', "row 2 holds half of", "leave it out"),
    "repeated.parquet": (REPEATED, "names a column twice", ""),
    "later.csv": (HEADER.encode() + b'"one\ntwo",gut\n"open" x,gut\n', "begins on line 4", ""),
    "torn.parquet": (b"PAR1 and no more", "no parquet file", ""),
    "torn.arrow": (b"ARROW1 and no more", "no arrow file", ""),
    "notes.docx": (b"PK", "spreadsheets and documents are not read", "save it as CSV"),
    "ids.csv": (
        "id,Überschrift,Gefühl\n1,a,b\n1,c,d\n".encode(), "row 2 has an id that an earlier row", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(tmp_path: Path, name: str) -> None:
    content, what, remedy = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert what in str(caught.value)
    assert remedy in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_columns_name_what_is_there_and_what_is_near(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Uberschrift,Gefuehl\na,b\n")
    with pytest.raises(InputError) as caught:
        read(path)
    assert [problem.got for problem in caught.value.problems] == ["Überschrift", "Gefühl"]
    assert [problem.nearest for problem in caught.value.problems] == ["Uberschrift", "Gefuehl"]
    assert {problem.allowed for problem in caught.value.problems} == {"Uberschrift, Gefuehl"}


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("x")
    with pytest.raises(InputError) as caught:
        read(tmp_path / "review.csv")
    assert caught.value.problems[0].nearest == str(tmp_path / "reviews.csv")


@pytest.mark.parametrize("name", ["~nobody-of-this-name/a.csv", "x" * 5000 + ".csv", "a\0b.csv"])
def test_what_is_no_name_of_a_file(name: str) -> None:
    with pytest.raises(InputError, match="no file's name"):
        read(name)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_that_is_suggested_works(
    tmp_path: Path, ctkd: Callable[..., tuple[int, str, str]], delimiter: str
) -> None:
    path = tmp_path / "a.csv"
    lines = [f"{name} {n}{delimiter}{name}" for n in range(20) for name in ("gut", "schlecht")]
    path.write_text("\n".join([f"text{delimiter}label", *lines]))
    arguments = ["check", "experiment=smoke", "target=files", f"target.train={path}"]
    code, _, err = ctkd(*arguments)
    assert code == 2
    (suggestion,) = shlex.split(err.partition("try:")[2])
    code, out, err = ctkd(*arguments, suggestion)
    assert code == 0, err
    assert "schlecht" in out


@pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n"])
def test_what_cannot_delimit(delimiter: str) -> None:
    with pytest.raises(ValidationError, match="one character"):
        Files(train="a.csv", delimiter=delimiter)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder, not a file"):
        read(tmp_path)


def test_all_files_are_looked_at(tmp_path: Path) -> None:
    settings = Files(train=str(tmp_path / "a.csv"), test=str(tmp_path / "b.csv"))
    with pytest.raises(InputError) as caught:
        settings.read(COLUMNS, "Gefühl")
    assert len(caught.value.problems) == 2


def test_unknown_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + ROWS)
    with pytest.raises(InputError, match="no such encoding"):
        read(path, encoding="utf-9")


def test_an_arrow_file_that_is_torn_within_a_column_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing: offsets beyond their buffer would end the process at first use."""
    table = pa.table({"Überschrift": ["aaaa", "bbbb"], "Gefühl": ["x", "y"]})
    stream = io.BytesIO()
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    offsets = (0).to_bytes(4, "little") + (4).to_bytes(4, "little") + (8).to_bytes(4, "little")
    content = stream.getvalue()
    assert content.count(offsets) == 1
    path = tmp_path / "a.arrow"
    path.write_bytes(content.replace(offsets, offsets[:8] + (10**6).to_bytes(4, "little")))
    with pytest.raises(InputError, match="no arrow file, or it is torn"):
        read(path)


def test_a_column_that_no_data_set_holds_is_refused(tmp_path: Path) -> None:
    intervals = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    table = pa.table({"Überschrift": ["a"], "Gefühl": ["x"], "when": intervals})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InputError, match="a kind that is not read"):
        read(tmp_path / "a.arrow")
