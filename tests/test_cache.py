"""The cache under damage and competition."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ctkd_cli.cache import Cache, content_key


def maker(calls: list[int], text: str = "weights"):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> None:
        calls.append(1)
        (folder / "sub").mkdir()
        (folder / "sub" / "file.bin").write_text(text)

    return make


def test_made_once(tmp_path: Path) -> None:
    calls: list[int] = []
    cache = Cache("things", tmp_path)
    entry, reused = cache.get("k", maker(calls))
    again, reused_again = cache.get("k", maker(calls))
    assert (reused, reused_again, len(calls)) == (False, True, 1)
    assert entry == again == cache.find("k")
    assert (entry / "sub" / "file.bin").read_text() == "weights"


def damage_truncate(entry: Path) -> None:
    (entry / "sub" / "file.bin").write_text("weig")


def damage_flip(entry: Path) -> None:
    (entry / "sub" / "file.bin").write_text("Weights")


def damage_remove(entry: Path) -> None:
    (entry / "sub" / "file.bin").unlink()


def damage_add(entry: Path) -> None:
    (entry / "foreign").write_text("x")


def damage_manifest(entry: Path) -> None:
    (entry / "MANIFEST.json").write_text("{")


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_flip, damage_remove, damage_add, damage_manifest]
)
def test_damage_is_noticed_and_mended(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    calls: list[int] = []
    heard: list[Path] = []
    cache = Cache("things", tmp_path)
    entry, _ = cache.get("k", maker(calls))
    damage(entry)
    assert cache.find("k") is None
    entry, reused = cache.get("k", maker(calls), on_damage=heard.append)
    assert (reused, len(calls), heard) == (False, 2, [entry])
    assert (entry / "sub" / "file.bin").read_text() == "weights"
    assert not (entry / "foreign").exists()


def test_a_failed_maker_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("disk full")

    cache = Cache("things", tmp_path)
    with pytest.raises(OSError, match="disk full"):
        cache.get("k", fail)
    assert cache.find("k") is None
    assert [path.name for path in cache.folder.iterdir() if path.is_dir()] == []


def test_competitors_make_it_once(tmp_path: Path) -> None:
    calls: list[int] = []
    threads = [
        threading.Thread(target=Cache("things", tmp_path).get, args=("k", maker(calls)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_keys_follow_content_not_order() -> None:
    assert content_key({"a": 1, "b": [2]}) == content_key({"b": [2], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
