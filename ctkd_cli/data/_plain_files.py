"""CSV and JSON of a data set on the hub, or in a folder like one, read as the user's own files are.

`load_dataset` hands CSV to pandas and JSON to Arrow, which guess types: `NA`, `null` and `nan`
vanish, `007` becomes 7, a text that looks like a date becomes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ctkd_cli.data._packed import without_suffix
from ctkd_cli.data._tables import FORMATS, read_table

if TYPE_CHECKING:
    from datasets import Dataset

SORTS = {"csv": ("csv", "tsv"), "json": ("json", "jsonl")}  # of datasets' own modules
UNDERSTOOD = ("name", "version", "data_dir", "data_files", "description", "features", "sep",
              "delimiter", "encoding")  # fmt: skip


def read(builder: Any, where: str) -> dict[str, Dataset] | None:
    """The splits of a data set that is plain CSV or JSON; None for another, or one that says in
    its own words how it is to be read. builder: as `load_dataset_builder` gives it. Raises
    InputError."""
    from datasets import DownloadManager, concatenate_datasets

    config = builder.config
    named = dict(config.data_files or {})
    if builder.name not in SORTS or not named or not _is_understood(config):
        return None
    sorts = {name: [_format(file, builder.name) for file in files] for name, files in named.items()}
    if not all(all(each) for each in sorts.values()):
        return None
    delimiter = _delimiter(config) if builder.name == "csv" else None
    encoding = getattr(config, "encoding", None)
    files = DownloadManager(base_path=builder.base_path).download(named)
    found = {}
    for name, each in sorts.items():
        tables = [
            read_table(file, where, sort, None if encoding == "utf-8" else encoding,
                       delimiter if sort == "csv" else None)
            for file, sort in zip(files[name], each, strict=True)
        ]  # fmt: skip
        whole = concatenate_datasets(tables) if len(tables) > 1 else tables[0]
        declared = config.features or builder.info.features
        found[str(name)] = (
            whole.select_columns(list(declared)).cast(declared) if declared else whole
        )
    return found


def as_written(columns: Sequence[str]) -> dict[str, Any]:
    """What tells `load_dataset` to leave the cells of a CSV in these columns alone."""
    return {"converters": dict.fromkeys(columns, str), "keep_default_na": False}


def _is_understood(config: Any) -> bool:
    """Whether nothing is said of how to read it but what `read_table` can be told."""
    plain = type(config)(name=config.name)
    return all(
        getattr(config, field.name) == getattr(plain, field.name)
        for field in fields(config)
        if field.name not in UNDERSTOOD
    )


def _delimiter(config: Any) -> str | None:
    found: str = config.delimiter or config.sep
    return None if found == "," else found


def _format(file: str, module: str) -> str:
    name = without_suffix(PurePosixPath(str(file)).name)
    found = FORMATS.get(PurePosixPath(name).suffix.lower(), "")
    if found == "tsv":  # whose delimiter datasets names
        return "csv" if module == "csv" else ""
    return found if found in SORTS[module] else ""
