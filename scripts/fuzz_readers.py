"""Throw bytes at the readers of files, YAMLs and label maps, until the time is over.

    .venv/bin/python scripts/fuzz_readers.py [SECONDS]      # 60

Whatever comes in, only an InputError may come out (of a YAML, what YAML's own parser says). With
atheris (`pip install atheris`) the bytes are guided by the code that they reach; without it,
hypothesis draws them. Exit 1, with the bytes, when something else came out.
"""

from __future__ import annotations

import atexit
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["ctkd_cli"]) if atheris else nullcontext():
    from ctkd_cli.data._labels import label_column, problems
    from ctkd_cli.data._tables import FORMATS, read_table
    from ctkd_cli.distillation.bridges.base import LabelMap
    from ctkd_cli.distillation.bridges.names import Names
    from ctkd_cli.errors import InputError
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.settings.plain_data import in_yaml, require_bounded

FOLDER = Path(tempfile.mkdtemp(prefix="ctkd-fuzz-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
KINDS = tuple(dict.fromkeys(FORMATS.values()))


def a_table(kind: str, content: bytes) -> None:
    """A file, and a label in each of its columns."""
    file = FOLDER / "file"
    file.write_bytes(content)
    try:
        table = read_table(file, "target.train", kind)
        for column in table.column_names[:4]:
            names = label_column(table, column, "target").names
            problems(sorted(names), "target", column, chosen=False)
    except InputError as error:
        str(error)


def a_yaml(content: bytes) -> None:
    try:
        text = content.decode()
        require_bounded(text)
        list(in_yaml(yaml.safe_load(text), "a.yaml"))
    except (ValueError, yaml.YAMLError):
        return


def a_label_map(content: bytes) -> None:
    """Labels, bridged by name, written as CSV and read back."""
    source, _, target = content.decode("utf-8", "replace").partition("\0")
    sides = [list(dict.fromkeys(side.split("\t"))) for side in (source, target)]
    try:
        found: LabelMap = Names().fit(*sides)
    except InputError as error:
        str(error)
        return
    (FOLDER / "label_map.csv").write_text(found.to_csv(), encoding="utf-8", newline="")
    read = Results(FOLDER).label_map
    assert (list(read.source_labels), list(read.target_labels)) == tuple(sides)
    assert np.allclose(read.weights, found.weights, atol=1e-5)


TARGETS: list[Callable[[bytes], None]] = [
    *((lambda content, kind=kind: a_table(kind, content)) for kind in KINDS),
    a_yaml,
    a_label_map,
]
runs = 0


def one(data: bytes) -> None:
    """The first byte chooses who reads the rest."""
    global runs
    runs += 1
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seeds() -> Iterator[bytes]:
    """Something that each reader can read."""
    rows = [{"text": "a, b", "label": "x"}, {"text": "c", "label": None}]
    table = pa.Table.from_pylist(rows)
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    contents = {
        "csv": b'text,label\n"a, b",x\nc,\n',
        "tsv": b"text\tlabel\na\tx\n",
        "json": json.dumps(rows).encode(),
        "jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "parquet": parquet.getvalue(),
        "arrow": arrow.getvalue(),
    }
    for number, kind in enumerate(KINDS):
        yield bytes([number]) + contents[kind]
    yield bytes([len(KINDS)]) + b"name: &a [kl, {b: ${c}}]\nd: *a\n"
    yield bytes([len(KINDS) + 1]) + "sport\t=1+1\ntwo\0Sport\tüber".encode()


def with_atheris(seconds: int) -> None:
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds()):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=4096", "-verbosity=0",
               "-print_final_stats=1", f"-artifact_prefix={FOLDER}/"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()  # ends the process, and tells the number of executions


def with_hypothesis(seconds: int, at_once: int = 2000) -> None:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    known = list(seeds())
    spliced = st.builds(
        lambda seed, at, put, cut: seed[: at % len(seed)] + put + seed[at % len(seed) + cut :],
        st.sampled_from(known), st.integers(0, 10**4), st.binary(max_size=64), st.integers(0, 8),
    )  # fmt: skip

    @settings(max_examples=at_once, deadline=None, database=None, derandomize=seconds == 0,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.one_of(st.binary(max_size=512), spliced))
    def throw(data: bytes) -> None:
        one(data)

    until = time.monotonic() + seconds
    throw()
    while time.monotonic() < until:
        throw()
    print(f"{runs:,} executions in {seconds} s, without atheris")


if __name__ == "__main__":
    (with_atheris if atheris is not None else with_hypothesis)(int((sys.argv[1:] or ["60"])[0]))
