"""A cache that several users share, or may only read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctkd_cli.cache import eviction, pins
from ctkd_cli.cache.entries import Cache, ailment

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be two users"
)
FIRST, SECOND, GROUP = 12345, 12346, 12347


@contextmanager
def user(number: int, umask: int) -> Iterator[None]:
    """Act as a user of the shared group."""
    before = os.umask(umask)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(GROUP)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.umask(before)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that hands its group down, outside pytest's own, which is its user's alone."""
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, FIRST, GROUP)
    folder.chmod(0o2775)
    monkeypatch.setenv("CTKD_CACHE", str(folder))
    yield folder
    shutil.rmtree(folder)


def make(folder: Path) -> None:
    (folder / "sub").mkdir()
    handle, name = tempfile.mkstemp(dir=folder / "sub")  # for its maker's eyes only
    os.close(handle)
    Path(name).rename(folder / "sub" / "file.bin")


def refuse(folder: Path) -> None:
    raise AssertionError("made again")


def test_permissions_follow_the_umask_and_the_folder(shared: Path) -> None:
    with user(FIRST, 0o002), pins.working("first"):
        Cache("arms").get("k", make)
        modes = {
            path.relative_to(shared).as_posix(): oct(stat.S_IMODE(path.stat().st_mode))
            for path in shared.rglob("*")
            if path.parent.name != ".claims"
        }
        (claims,) = (shared / ".claims").iterdir()
        assert stat.S_IMODE(claims.stat().st_mode) == 0o664
    folder, file = oct(0o2775), oct(0o664)
    assert modes == {
        ".claims": folder, "arms": folder, "arms/k": folder, "arms/k/sub": folder,
        "arms/k/sub/file.bin": file, "arms/k/MANIFEST.json": file, "arms/k.lock": file,
    }  # fmt: skip


def test_two_users_share_entries(shared: Path) -> None:
    with user(FIRST, 0o002):
        Cache("arms").get("k", make)
    with user(SECOND, 0o002):
        assert Cache("arms").get("k", refuse, on_damage=refuse)[1]
        (entry,) = eviction.entries()
        assert entry.readable
        assert [len(part) for part in eviction.clear([entry])] == [1, 0, 0]
        assert not Cache("arms").get("k", make)[1]


def test_what_one_users_job_uses_another_does_not_remove(shared: Path) -> None:
    with user(FIRST, 0o002), pins.working("first"):
        Cache("arms").get("k", make)
        os.seteuid(0)
        with user(SECOND, 0o002):
            assert [len(part) for part in eviction.clear(eviction.entries())] == [0, 1, 0]
        os.setegid(GROUP)
        os.seteuid(FIRST)


def test_what_cannot_be_read_is_said_so_and_made_aside(shared: Path) -> None:
    with user(FIRST, 0o077):
        theirs, _ = Cache("arms").get("k", make)
    (shared / "arms").chmod(0o2775)
    heard: list[str] = []
    with user(SECOND, 0o002):
        assert Cache("arms").find("k") is None
        own, reused = Cache("arms").get("k", make, lambda e: heard.append(ailment(e)))
        assert (own != theirs, reused, heard) == (True, False, ["cannot be read by this user"])
        assert Cache("arms").get("k", refuse)[0] == own
        (entry,) = eviction.entries()
        assert not entry.readable
        assert [len(part) for part in eviction.clear([entry])] == [0, 0, 1]
    with user(FIRST, 0o077):
        assert Cache("arms").find("k") == theirs


def test_a_cache_that_may_only_be_read_serves(shared: Path) -> None:
    with user(FIRST, 0o022):
        theirs, _ = Cache("arms").get("k", make)
    shared.chmod(0o755)
    before = sorted(shared.rglob("*"))
    with user(SECOND, 0o022), pins.working("second"):
        assert Cache("arms").get("k", refuse, on_damage=refuse) == (theirs, True)
        own, reused = Cache("arms").get("other", make)
        assert not reused
        assert Cache("arms").get("other", refuse) == (own, True)
        Cache("arms").drop("k")
        Cache("arms").drop("other")
        assert not Cache("arms").get("other", make)[1]
    assert sorted(shared.rglob("*")) == before
