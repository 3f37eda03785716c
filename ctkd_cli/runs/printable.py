"""Text of the user's that is about to be shown: in a terminal, a log, a report."""

from __future__ import annotations

import unicodedata

# Characters that turn the direction of what follows: they can make a text read as another.
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, separators of lines


def printable(text: str) -> str:
    """The text on one line, with what would control a terminal or turn the line made visible."""
    return "".join(_visible(character) for character in text)


def printable_lines(text: str) -> str:
    """The same for a text that may have lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _visible(character: str) -> str:
    code = ord(character)
    hidden = character in TURNING or unicodedata.category(character) in UNSEEN
    if not hidden and code & 0xFFFE != 0xFFFE:  # the last two of a plane are no characters
        return character
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
