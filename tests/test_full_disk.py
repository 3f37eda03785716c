"""A disk that is full, or torn files: said, and nothing that was complete is lost."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import pytest
from test_resume import only, reused, saw, start

from ctkd_cli.cache import entries
from ctkd_cli.runs import atomic
from ctkd_cli.runs.rundir import status_of

Ctkd = Callable[..., tuple[int, str, str]]
BYTES = ("predictions.parquet", "label_map.csv")


class Disk:
    """Counts what is written for good, and is full from a given write on."""

    def __init__(self, full_from: int | None = None) -> None:
        self.full_from = full_from
        self.writes = 0

    def sync(self, path: Path) -> None:
        self.writes += 1
        if self.full_from is not None and self.writes >= self.full_from:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_disk_that_fills_up_at_any_write(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(disk: Disk, name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("CTKD_CACHE", str(tmp_path / f"cache-{name}"))
        monkeypatch.setenv("CTKD_OUTPUTS", str(tmp_path / name))
        for module in (entries, atomic):
            monkeypatch.setattr(module, "sync", disk.sync)
        return ctkd(*arguments)

    whole = Disk()
    assert on(whole, "whole", "run", *tiny_run)[0] == 0
    unbroken = only(tmp_path / "whole")
    generator = random.Random(1)
    half = whole.writes // 2
    for point in [generator.randint(half * part + 3, half * (part + 1)) for part in range(2)]:
        code, out, err = on(Disk(point), str(point), "run", *tiny_run)
        assert (code, out) == (1, ""), err
        directory = only(tmp_path / str(point))
        assert "error: the disk is full" in err
        assert f"ctkd resume {directory}" in err
        assert on(Disk(), str(point), "resume", str(directory))[0] == 0
        assert status_of(directory)["status"] == "complete"
        for name in BYTES:
            assert (directory / name).read_bytes() == (unbroken / name).read_bytes()
        left = {path.name for path in directory.iterdir()} ^ {p.name for p in unbroken.iterdir()}
        assert left == set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs")
@pytest.mark.parametrize("place", ["cache", "outputs"])
@pytest.mark.parametrize("moment", [('"teacher"', '"step"'), ('"distilled"', '"step"')])
def test_a_real_disk_that_fills_up(
    tmp_path: Path, tiny_run: list[str], small_disk: Path, place: str, moment: tuple[str, str]
) -> None:
    whole = tmp_path / "whole"
    assert start(whole, tmp_path / "cache-whole", "run", *tiny_run).wait() == 0
    folder = small_disk if place == "outputs" else tmp_path / "broken"
    where = small_disk / "cache" if place == "cache" else tmp_path / "cache"
    process = start(folder, where, "run", *tiny_run)
    while not saw(folder, *moment)() and process.poll() is None:
        pass
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        stream.writelines(repeat(bytes(4096)))
    assert process.wait() == 1
    directory = only(folder / "outputs")
    filler.unlink()
    assert start(folder, where, "resume", str(directory)).wait() == 0
    for name in BYTES:
        there = only(whole / "outputs") / name
        assert (directory / name).read_bytes() == there.read_bytes()


TORN = ["status.json", "metrics.json", "events.jsonl", "label_map.csv", "environment.json",
        "predictions.parquet", "run.log"]  # fmt: skip


def test_torn_files_in_a_run_directory_are_made_again(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a power loss may leave them: cut in the middle, the status with the rest."""
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    assert ctkd("run", *tiny_run)[0] == 0
    run = only()
    before = {name: (run / name).read_bytes() for name in BYTES}
    for name in TORN:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) // 2])
    code, _, err = ctkd("resume", str(run))
    assert code == 0, err
    assert status_of(run)["status"] == "complete"
    assert {name: (run / name).read_bytes() for name in BYTES} == before
    assert "student distilled" in reused(run)
    (run / "metrics.json").write_text('{"distilled/mac')  # and a status that says it is complete
    assert ctkd("resume", str(run))[0] == 0
    assert {name: (run / name).read_bytes() for name in BYTES} == before
    (run / "config.yaml").write_text("lambda: [")
    code, _, err = ctkd("resume", str(run))
    assert code == 2
    assert "config.yaml is damaged" in err
    assert "what was complete is in the cache" in err


def test_a_torn_job_of_a_sweep_is_told_and_made_again(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    assert ctkd("run", "-m", *tiny_run, "lambda=0.5,1")[0] == 0
    sweep = only()
    (sweep / "0" / "status.json").write_text('{"stat')
    (sweep / "1" / "metrics.json").write_text("")
    before = (sweep / "1" / "predictions.parquet").read_bytes()
    code, _, err = ctkd("resume", str(sweep))
    assert code == 0, err
    assert [status_of(sweep / job)["status"] for job in "01"] == ["complete", "complete"]
    assert (sweep / "1" / "predictions.parquet").read_bytes() == before
