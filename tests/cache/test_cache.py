"""The cache under damage and competition."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ctkd_cli.cache.entries import Cache, content_key


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


def test_an_entry_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise OSError("disk full")

    cache = Cache("things", tmp_path)
    entry, _ = cache.get("k", maker([]))
    with pytest.raises(OSError, match="disk full"):
        cache.get("k", fail, again=True)
    assert cache.find("k") == entry
    assert cache.get("k", maker([], "new"), again=True) == (entry, False)
    assert (entry / "sub" / "file.bin").read_text() == "new"


@pytest.mark.parametrize("foreign", ["a file", "a link", "a folder"])
def test_what_lies_in_an_entrys_place(tmp_path: Path, foreign: str) -> None:
    heard: list[Path] = []
    cache = Cache("things", tmp_path / "cache")
    cache.folder.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("stays")
    place = cache.folder / "k"
    if foreign == "a file":
        place.write_text("x")
    elif foreign == "a link":
        place.symlink_to(elsewhere)
    else:
        place.mkdir()
    entry, reused = cache.get("k", maker([]), on_damage=heard.append)
    assert (reused, heard) == (False, [place])
    assert cache.find("k") == entry
    assert (elsewhere / "mine").read_text() == "stays"


@pytest.mark.parametrize("content", ["[]", "null", '{"files": []}', "{}", "[" * 100_000, "\x00"])
def test_a_foreign_manifest_is_damage(tmp_path: Path, content: str) -> None:
    cache = Cache("things", tmp_path)
    entry, _ = cache.get("k", maker([]))
    (entry / "MANIFEST.json").write_text(content)
    assert cache.find("k") is None
    assert cache.get("k", maker([]))[1] is False


def test_two_versions_share_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds its own entry, and leaves the other's as it is."""
    cache = Cache("things", tmp_path)
    ours = content_key("weights")
    cache.get(ours, maker([], "ours"))
    monkeypatch.setattr("ctkd_cli.cache.entries.FORMAT", 99)
    theirs = content_key("weights")
    assert theirs != ours
    assert cache.get(theirs, maker([], "theirs"))[1] is False
    for key, text in ((ours, "ours"), (theirs, "theirs")):
        entry, reused = cache.get(key, maker([]))
        assert (reused, (entry / "sub" / "file.bin").read_text()) == (True, text)


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
