"""Passwords and tokens: refused in settings, which every run directory repeats, and struck out of
what is shown or logged."""

from __future__ import annotations

import os
import re

STRUCK = "***"
SECRET_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY)$", re.IGNORECASE)
SHORTEST = 8  # characters of a secret; a shorter value is no secret, and could be any word
IN_URL = re.compile(r"(?<=://)[^\s/@:'\"]*:[^\s/@'\"]+(?=@)|(?<=://)[^\s/@:'\"]{20,}(?=@)")
TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,})")
QUERY = re.compile(r"(?<=[?&])((?:access_)?token|api_?key|password)=[^&\s'\"]+", re.IGNORECASE)


def held_in(text: str) -> bool:
    """Whether a text holds what looks like a password or a token."""
    return redacted(text) != text


def redacted(text: str) -> str:
    """The text without passwords in addresses, tokens, and secrets of the environment."""
    text = IN_URL.sub(STRUCK, text)
    text = TOKEN.sub(STRUCK, text)
    text = QUERY.sub(rf"\1={STRUCK}", text)
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and SECRET_NAMES.search(name):
            text = text.replace(value, STRUCK)
    return text
