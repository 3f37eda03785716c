"""`ctkd predict` on tables with columns of the user's own."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

Ctkd = Callable[..., tuple[int, str, str]]
ROWS = [
    {"ticket": "T-7", "body": "match goal team", "opened": "2026-01-02", "topic": "?"},
    {"ticket": "T-3", "body": "film actor music", "opened": "", "topic": "?"},
]
ASKED = ["--text", "body", "--id", "ticket", "--keep", "opened"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]) -> str:
    from ctkd_cli.__main__ import main

    directory = tmp_path_factory.mktemp("predict") / "run"
    assert main(["run", *tiny_run, f"hydra.run.dir={directory}"]) == 0
    return str(directory)


def write(file: Path) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    suffix = file.suffix
    if suffix in (".csv", ".tsv"):
        with file.open("w", newline="") as stream:
            lines = csv.writer(stream, delimiter="\t" if suffix == ".tsv" else ";")
            lines.writerows([list(ROWS[0]), *(list(row.values()) for row in ROWS)])
    elif suffix == ".json":
        file.write_text(json.dumps(ROWS))
    elif suffix == ".jsonl":
        file.write_text("\n".join(map(json.dumps, ROWS)))
    elif suffix == ".parquet":
        pq.write_table(pa.table(columns), file)
    else:
        pyarrow.feather.write_feather(pa.table(columns), file)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet", "feather"])
def test_columns_of_the_users_own(ctkd: Ctkd, run: str, tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"tickets.{suffix}")
    code, out, err = ctkd("predict", run, f"tickets.{suffix}", *ASKED)
    assert code == 0, err
    header, *lines = csv.reader(out.splitlines())
    assert header[:4] == ["ticket", "opened", "input", "predicted"]
    assert [line[:3] for line in lines] == [
        [row["ticket"], row["opened"], row["body"]] for row in ROWS
    ]
    assert err == "note: columns left out: topic (--id COLUMN, --keep COLUMN keep them)\n"


def test_in_json_lines(ctkd: Ctkd, run: str, tmp_path: Path) -> None:
    write(tmp_path / "tickets.csv")
    out = ctkd("predict", run, "tickets.csv", *ASKED, "--format", "jsonl")[1]
    found = [json.loads(line) for line in out.splitlines()]
    assert [list(line)[:4] for line in found] == [["ticket", "opened", "input", "predicted"]] * 2
    assert [line["ticket"] for line in found] == ["T-7", "T-3"]


def test_a_column_that_is_missing_names_the_option(ctkd: Ctkd, run: str, tmp_path: Path) -> None:
    """All are told at once, and what is told works."""
    write(tmp_path / "tickets.csv")
    code, out, err = ctkd("predict", run, "tickets.csv", "--id", "tickets", "--keep", "when")
    assert (code, out) == (2, "")
    assert err.count("no such column") == 3
    for words in ("got:     text", "allowed: ticket, body, opened, topic", "try:     --text body\n",
                  "did you mean ticket?", "got:     when"):  # fmt: skip
        assert words in err
    assert err.count("did you mean") == 1  # `text` is no other column, however alike
    code, out, err = ctkd("predict", run, "tickets.csv", "--text", "body", "--id", "ticket")
    assert code == 0, err
    assert "columns left out: opened, topic" in err


@pytest.mark.parametrize(
    "asked, says",
    [
        (["--text", "body", "--text", "topic"], "this student reads 1 column"),
        (["--text", "body", "--keep", "input"], "has a column of this name already"),
        (["--text", "body", "--id", "ticket", "--keep", "ticket"], "of this name already"),
    ],
)
def test_what_cannot_be_asked(
    ctkd: Ctkd, run: str, tmp_path: Path, asked: list[str], says: str
) -> None:
    (tmp_path / "t.csv").write_text("ticket,body,topic,input\n1,goal,x,y\n")
    code, out, err = ctkd("predict", run, "t.csv", *asked)
    assert (code, out) == (2, "")
    assert says in err


def test_lines_have_no_columns(ctkd: Ctkd, run: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("goal\n")
    code, out, err = ctkd("predict", run, "t.txt", "--id", "ticket")
    assert (code, out) == (2, "")
    assert "only a table has columns" in err
    assert "--id" in err
