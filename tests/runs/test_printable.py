from __future__ import annotations

import pytest

from ctkd_cli.runs.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Grüße, 漢字, مرحبا", "plain, Grüße, 漢字, مرحبا"),
        ("👩\u200d🚀", "👩\u200d🚀"),  # joined emoji stay joined
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\0", "a\\x0ab\\x09c\\x00"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
        ("\ud800", "\\ud800"),
        ("a\uffffb", "a\\uffffb"),
        ("line\u2028line", "line\\u2028line"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
