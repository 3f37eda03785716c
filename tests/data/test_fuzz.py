"""The fuzzer of scripts/, for a moment: the same bytes each time, without atheris."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_readers.py"


def test_bytes_of_any_sort_are_read_or_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    spec = importlib.util.spec_from_file_location("fuzz_readers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    fuzzer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzzer)
    for seed in fuzzer.seeds():
        fuzzer.one(seed)
    fuzzer.with_hypothesis(0, at_once=300)
    assert fuzzer.runs >= 300
    assert len(fuzzer.TARGETS) == len(list(fuzzer.seeds())) == 8
