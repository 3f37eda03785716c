"""`ctkd cache`: what is kept is shown, cleared and bounded, and never taken from a running job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ctkd_cli.cache import eviction, pins
from ctkd_cli.cache.entries import Cache, content_key

Ctkd = Callable[..., tuple[int, str, str]]
DAY = 86400


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CTKD_CACHE_LIMIT", raising=False)
    return tmp_path / "cache"


def keep(sort: str, name: str, size: int = 1000, days: float = 0) -> Path:
    """An entry of so many bytes, last used so many days ago."""

    def make(folder: Path) -> None:
        (folder / "file").write_bytes(bytes(size))

    entry, _ = Cache(sort).get(content_key(name), make)
    used = time.time() - days * DAY
    os.utime(entry / "MANIFEST.json", (used, used))
    return entry


def listed(ctkd: Ctkd, *options: str) -> list[dict[str, Any]]:
    code, out, err = ctkd("cache", "list", "--json", *options)
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


@pytest.fixture
def elsewhere(root: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts another process that uses an entry until it is told to end, or killed."""
    code = (
        "import sys; from ctkd_cli.cache import pins; from ctkd_cli.cache.entries import Cache\n"
        "with pins.working('another run'):\n"
        "    Cache(sys.argv[1]).find(sys.argv[2]); print('uses it', flush=True); sys.stdin.read()"
    )
    started = []

    def start(entry: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, entry.parent.name, entry.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "uses it\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_an_empty_cache(ctkd: Ctkd, root: Path) -> None:
    code, out, _ = ctkd("cache", "list")
    assert code == 0
    assert f"0 entries, 0 B (limit 20.0 GB) in {root}" in out
    assert ctkd("cache", "clear")[1] == "removed 0 of 0 entries, 0 B\n"
    assert not root.exists()


def test_a_run_is_told_to_have_made_its_entries(ctkd: Ctkd, tiny_run: list[str]) -> None:
    assert ctkd("run", *tiny_run, "name=mine")[0] == 0
    (run,) = Path("outputs").iterdir()
    found = listed(ctkd)
    assert {entry["sort"] for entry in found} == {"teachers", "knowledge", "arms", "tokens"}
    assert {entry["made_by"] for entry in found} == {str(run.resolve())}
    assert not any(entry["in_use"] for entry in found)  # the run is over
    code, out, _ = ctkd("cache", "list")
    assert code == 0
    assert "just now" in out
    for entry in found:
        assert entry["key"][:12] in out
    kept = {path.name: path.read_bytes() for path in (run / "student").iterdir()}
    code, out, _ = ctkd("cache", "clear")
    assert (code, out.split(" entries")[0]) == (0, f"removed {len(found)} of {len(found)}")
    assert listed(ctkd) == []
    # The run's student was linked to the cache, and stays.
    assert {path.name: path.read_bytes() for path in (run / "student").iterdir()} == kept


def test_entries_are_chosen_by_sort_and_by_age(ctkd: Ctkd) -> None:
    keep("arms", "old", days=40)
    keep("arms", "new", days=1)
    keep("teachers", "old too", days=35)
    assert [entry["sort"] for entry in listed(ctkd)] == ["arms", "teachers", "arms"]
    assert len(listed(ctkd, "--older-than", "30d")) == 2
    assert ctkd("cache", "clear", "--sort", "arms", "--older-than", "5w")[1].startswith("removed 1")
    assert [entry["sort"] for entry in listed(ctkd)] == ["teachers", "arms"]
    assert ctkd("cache", "clear", "--sort", "teachers")[1].startswith("removed 1 of 1")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--sort", "arm"), "did you mean arms?"),
        (("--older-than", "soon"), "90m, 12h, 30d, 2w"),
        (("--older-than", "-1d"), "no age"),
    ],
)
def test_what_cannot_be_chosen(ctkd: Ctkd, options: tuple[str, str], says: str) -> None:
    keep("arms", "stays")
    code, _, err = ctkd("cache", "clear", *options)
    assert code == 2
    assert says in err
    assert len(listed(ctkd)) == 1


def test_use_is_remembered(ctkd: Ctkd) -> None:
    entry = keep("arms", "x", days=9)
    assert Cache("arms").find(entry.name) == entry
    assert listed(ctkd, "--older-than", "1d") == []


def test_what_another_process_uses_stays_until_it_is_killed(
    ctkd: Ctkd, elsewhere: Callable[[Path], subprocess.Popen[str]]
) -> None:
    used, free = keep("teachers", "used", days=9), keep("teachers", "free", days=9)
    process = elsewhere(used)
    assert [entry["in_use"] for entry in listed(ctkd, "--sort", "teachers")].count(True) == 1
    code, out, _ = ctkd("cache", "clear")
    assert (code, used.exists(), free.exists()) == (0, True, False)
    assert "left 1 that a running job uses or makes" in out
    (claim,) = (used.parent.parent / ".claims").iterdir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert claim.exists()  # nobody has cleaned up after it
    assert ctkd("cache", "clear")[1].startswith("removed 1 of 1")
    assert not used.exists()


def test_the_longest_unused_make_room_but_for_what_is_used_and_corpora(
    monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[[Path], subprocess.Popen[str]]
) -> None:
    corpus = keep("corpora", "c", size=5000, days=90)
    used = keep("arms", "used", size=5000, days=80)
    elsewhere(used)
    os.utime(used / "MANIFEST.json", (1, 1))
    oldest, middle, newest = (
        keep("arms", f"{days}", size=10_000, days=days) for days in (70, 60, 50)
    )
    monkeypatch.setenv("CTKD_CACHE_LIMIT", "25k")
    assert {entry.path for entry in eviction.evict()} == {oldest, middle}
    assert all(entry.exists() for entry in (corpus, used, newest))
    monkeypatch.setenv("CTKD_CACHE_LIMIT", "none")
    assert eviction.evict() == []


def test_a_run_keeps_to_the_limit(
    ctkd: Ctkd, tiny_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = keep("arms", "old", size=10**6, days=3)
    monkeypatch.setenv("CTKD_CACHE_LIMIT", "1M")
    code, _, err = ctkd("run", *tiny_run)
    assert code == 0
    assert "cache is full: 1 entries" in err
    assert not old.exists()
    assert len(listed(ctkd)) > 3


@pytest.mark.parametrize("limit", ["much", "-1G", "1X"])
def test_a_limit_that_is_none(ctkd: Ctkd, tiny_run: list[str], monkeypatch: pytest.MonkeyPatch,
                              limit: str) -> None:  # fmt: skip
    monkeypatch.setenv("CTKD_CACHE_LIMIT", limit)
    code, _, err = ctkd("run", *tiny_run)
    assert code == 2
    assert "CTKD_CACHE_LIMIT" in err
    assert not Path("outputs").exists()


def test_what_a_killed_process_was_making_is_shown_and_cleared(ctkd: Ctkd, root: Path) -> None:
    keep("arms", "whole")
    left = root / "arms" / f".{content_key('torn')}-abc"
    left.mkdir()
    (left / "half").write_bytes(bytes(10))
    assert [entry["whole"] for entry in listed(ctkd)].count(False) == 1
    assert "not whole" in ctkd("cache", "list")[1]
    assert ctkd("cache", "clear")[1].startswith("removed 2 of 2")


def test_what_is_being_made_is_left(ctkd: Ctkd) -> None:
    """By the process that holds the lock: here, this one, in another thread's place."""
    seen = []

    def make(folder: Path) -> None:
        seen.append(ctkd("cache", "clear")[1])
        assert folder.exists()

    Cache("arms").get(content_key("slow"), make)
    assert "left 1" in seen[0]


def test_claims_of_a_job_end_with_it(root: Path) -> None:
    entry = keep("arms", "x")
    with pins.working("a job"):
        Cache("arms").find(entry.name)
        assert pins.is_pinned(entry)
        with pins.working("a job within"):
            Cache("arms").find(entry.name)
        assert pins.is_pinned(entry)
    assert not pins.is_pinned(entry)
