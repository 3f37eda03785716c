"""Settings are data: what would run code, or read what lies outside them, is refused.

Hydra obeys `_target_` in its own sections (callbacks, launchers), and `${oc.env:NAME}` would copy a
secret into every run directory, as a password typed into them does. `${other.key}` stays allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml

from ctkd_cli.errors import Problem
from ctkd_cli.settings import credentials

MOST_CHARACTERS, MOST_VALUES = 2**20, 2**14  # of a YAML; more is no file of settings
DEEPEST = 50
SEARCHPATH = "hydra.searchpath"
TARGET = "_target_"
INNERMOST = re.compile(r"\$\{([^{}]*)\}")
HYDRA_RESOLVERS = ("now", "hydra")  # may name a directory in `hydra.*`; settings take none


def require_bounded(text: str) -> None:
    """Raise ValueError for a YAML that is too large, its aliases written out: a few lines of them
    can stand for more values than memory holds. Raises yaml.YAMLError for what is no YAML."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"this YAML is too large: more than {MOST_CHARACTERS:,} characters")
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > MOST_VALUES:
            raise ValueError(
                f"this YAML is too large: it stands for more than {MOST_VALUES:,} values"
            )
        if len(open_nodes) > DEEPEST:
            raise ValueError(f"this YAML is nested too deeply: more than {DEEPEST} levels")


def in_override(text: str, of_hydra: bool) -> Iterator[Problem]:
    """Problems with an override, as it was typed."""
    if TARGET in text:
        yield _names_code(text, "command line")
    if text.lstrip("+~").startswith(SEARCHPATH):
        yield _more_folders("command line")
    yield from _in_text(text, "command line", HYDRA_RESOLVERS if of_hydra else ())


def in_yaml(tree: Any, where: str, resolvers: Collection[str] = ()) -> Iterator[Problem]:
    """Problems with the content of the YAML `where`, its defaults list and Hydra's part of it
    too."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == TARGET:
                yield _names_code(TARGET, where)
            if key == "searchpath":  # a file's package may be hydra
                yield _more_folders(where)
            yield from _in_text(str(key), where, resolvers)
            yield from in_yaml(value, where, HYDRA_RESOLVERS if key == "hydra" else resolvers)
    elif isinstance(tree, list):
        for value in tree:
            yield from in_yaml(value, where, resolvers)
    elif isinstance(tree, str):
        yield from _in_text(tree, where, resolvers)


def _in_text(text: str, where: str, resolvers: Collection[str]) -> Iterator[Problem]:
    if credentials.held_in(text):
        yield Problem(
            "settings are kept in every run directory and cannot hold a password or token",
            where=where,
            got=credentials.redacted(text),
            remedy="log in once (hf auth login), or export HF_TOKEN",
        )
    if _calls_resolver(text, resolvers):
        yield Problem(
            "settings may refer to other settings only",
            where=where,
            got=text,
            allowed="${KEY}, such as ${training.steps}; no resolvers such as ${oc.env:NAME}",
        )


def _calls_resolver(text: str, allowed: Collection[str]) -> bool:
    """Whether a text holds more than `${node}` and calls to the resolvers in `allowed`. Nested
    ones are taken from the inside out."""
    while match := INNERMOST.search(text):
        name, colon, _ = match[1].partition(":")
        if colon and name.strip() not in allowed:
            return True
        text = text[: match.start()] + "_" + text[match.end() :]
    return "${" in text


def _more_folders(where: str) -> Problem:
    """YAMLs in them would not be looked at as ours are."""
    return Problem(
        "YAMLs are read from one folder of yours", where=where, got=SEARCHPATH,
        remedy="--config-dir FOLDER",
    )  # fmt: skip


def _names_code(got: str, where: str) -> Problem:
    return Problem("settings are data and cannot name code", where=where, got=got)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; an empty mapping is a value."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path, value
