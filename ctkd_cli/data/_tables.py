"""Tables of people's own files, read so that what is wrong with them is said, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctkd_cli.data import _delimited, _json, _packed
from ctkd_cli.data._pieces import PIECE, gather
from ctkd_cli.data._source import Source

if TYPE_CHECKING:
    from datasets import Dataset

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
OF_OFFICES = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".docx", ".doc", ".odt", ".pdf")
DELIMITERS = {"csv": ",", "tsv": "\t"}
LONGEST = 2**20  # characters of a cell: a long book. More is a quote that was never closed


def read_table(
    file: str | Path,
    where: str,
    format: str = "auto",
    encoding: str | None = None,
    delimiter: str | None = None,
    *,
    guess: bool = False,
) -> Dataset:
    """A file as a table. Cells of CSV and TSV are strings, exactly as written.

    where: the settings key that named the file. encoding: None is UTF-8, or UTF-16 with a byte
    order mark; a mark is never part of a column's name. guess: where there is no setting to say
    it, the header of a CSV may show its delimiter. Raises InputError.
    """
    source = Source.find(file, where)
    suffix = Path(_packed.without_suffix(source.path.name)).suffix.lower()
    kind = format if format != "auto" else FORMATS.get(suffix, "")
    if not kind and suffix in OF_OFFICES:
        raise source.refuse(
            "spreadsheets and documents are not read", suffix,
            allowed=", ".join(FORMATS), remedy="save it as CSV (UTF-8), and name that file",
        )  # fmt: skip
    if not kind:
        names = ", or another of " + ", ".join(dict.fromkeys(FORMATS.values()))
        raise source.refuse(
            "this file's name does not tell its format",
            allowed=", ".join(FORMATS),
            remedy=source.setting("format", "csv" + names),
        )
    if kind in DELIMITERS:
        lines = source.lines(encoding)
        table = _delimited.read(source, lines, delimiter or DELIMITERS[kind], guess=guess)
    elif kind == "jsonl":
        table = _json.read_lines(source, source.lines(encoding, newline="\n"))
    elif kind == "json":
        table = _json.read(source, source.text(encoding))
    elif _packed.is_packed(source.path):
        raise source.refuse(
            f"a {kind} file that is compressed as a whole is not read",
            remedy="unpack it; it is compressed within",
        )
    else:
        table = _binary(source, kind)
    _require_short_cells(source, table)
    return table


def _require_short_cells(source: Source, table: Dataset) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in table.column_names:
        cells = table.data.column(column)
        if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
            continue
        lengths = pc.utf8_length(cells)
        if (longest := pc.max(lengths).as_py() or 0) > LONGEST:
            row = pc.index(lengths, longest).as_py() + 1
            raise source.refuse(
                f"row {row} has a cell of {longest:,} characters",
                f"column {column!r}",
                allowed=f"{LONGEST:,}",
                remedy="close its quote, or cut it: models read no more than its first words",
            )


def _binary(source: Source, kind: str) -> Dataset:
    """Parquet, or Arrow's file and stream formats; memory-mapped where the format allows it."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    table: pa.Table | None
    try:
        if kind == "parquet":
            # Not read_table, which calls a file with two columns of one name torn.
            with pq.ParquetFile(source.path) as file:
                source.require_distinct(file.schema_arrow.names)
                table = gather(file.iter_batches(PIECE))
        else:
            with pa.memory_map(str(source.path)) as stream:
                table = _open_arrow(stream).read_all()
                source.require_distinct(table.column_names)
        if table is not None:  # what is torn within a column would end the process later
            table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise source.refuse(f"this is no {kind} file, or it is torn", first_line(error)) from None
    if table is None or len(table) == 0:
        raise source.refuse("this file has no rows")
    try:
        return Dataset(table)
    except (TypeError, ValueError, KeyError, pa.ArrowException) as error:
        raise source.refuse(
            "this file has a column of a kind that is not read", first_line(error)
        ) from None


def _open_arrow(stream: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.ipc.open_file(stream)
    except pa.ArrowInvalid:
        stream.seek(0)
        return pa.ipc.open_stream(stream)


def first_line(error: Exception) -> str:
    """What another library says, cut to a line; its name for the error when it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
