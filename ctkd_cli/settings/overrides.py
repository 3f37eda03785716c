"""Overrides: what a user types, as Hydra should see it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override
from hydra.errors import HydraException

from ctkd_cli.errors import InputError, Problem, nearest
from ctkd_cli.settings import literals, plain_data
from ctkd_cli.settings.config_files import GROUPS, initialised, options, several

OF_MODELS = "huggingface"  # the option whose `model` any other may have been meant for


def prepare(overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra should see them.

    A plain `key=value` may add a key: whether the key exists is decided once, by the typed
    settings, which know every key and report all problems together. Choices of groups are checked
    here, since Hydra stops at the first. Raises InputError with all that cannot be read.
    """
    prepared, problems = readable_part(overrides)
    if problems:
        raise InputError(*problems)
    return prepared


def readable_part(overrides: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """The overrides that can be read, prepared, and the problems of the others."""
    prepared: list[str] = []
    with initialised():  # glob(...) looks at the groups
        parsed, problems = _parse(overrides)
    for text, override in parsed:
        key = override.key_or_group
        chooses = key in GROUPS and not isinstance(override.value(), dict)
        wrong = plain_data.in_override(text, of_hydra=not _is_ours(override))
        found = [*wrong, *(_unknown_choices(key, override) if chooses else ())]
        if found:
            problems += found
        elif override.is_delete() or not _is_ours(override):
            prepared.append(text)
        elif chooses:
            prepared.append(_joined(text.lstrip("+"), override))
        else:
            if isinstance(override.value(), dict) and not _is_section(key):
                prepared.append(f"++{key}=null")
            prepared.append("++" + text.lstrip("+"))
    return prepared, problems


def single_valued(overrides: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """The overrides that do not give several values, and a problem for each that does."""
    with initialised():
        parsed, _ = _parse(overrides)
    several = {text: override for text, override in parsed if override.is_sweep_override()}
    problems = [
        Problem(
            "several values are a sweep",
            where=override.key_or_group,
            got=text,
            remedy=f"ctkd run -m {shlex.quote(text)}; or, for one text with a comma in it, "
            f'"{_quote(text)}"',
        )
        for text, override in several.items()
    ]
    return [text for text in overrides if text not in several], problems


def as_typed(prepared: Sequence[str]) -> list[str]:
    """Prepared overrides as a user would write them."""
    texts = [literals.as_typed(text.removeprefix("++")) for text in prepared]
    return [
        _without_our_quotes(text)
        for text, following in pairwise([*texts, ""])
        if not (text.endswith("=null") and following.startswith(f"{text.removesuffix('null')}{{"))
    ]


def ours(overrides: Sequence[str]) -> list[Override]:
    """Our overrides, Hydra's left out. Raises InputError."""
    parsed, problems = _parse(overrides)
    if problems:
        raise InputError(*problems)
    return [override for _, override in parsed if _is_ours(override)]


def readable(overrides: Sequence[str]) -> list[Override]:
    """Those that can be read."""
    with initialised():
        return [override for _, override in _parse(overrides)[0]]


def _is_ours(override: Override) -> bool:
    return not override.key_or_group.startswith(("hydra.", "hydra/"))


def _parse(overrides: Sequence[str]) -> tuple[list[tuple[str, Override]], list[Problem]]:
    """Each override as Hydra can read it, and what Hydra reads in it; problems with the others.

    Hydra's grammar knows few characters outside quotes. A value that it cannot read bare, such as
    `Überschrift` or `my file (1).csv`, is quoted for the user.
    """
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed: list[tuple[str, Override]] = []
    problems: list[Problem] = []
    for typed in overrides:
        if not _is_utf8(typed):
            problems.append(_not_utf8(typed))
            continue
        value = typed.partition("=")[2]
        groups = frozenset() if value.startswith("{") else frozenset(GROUPS)
        text = literals.in_override(typed, also=groups)
        try:
            parsed.append((text, parser.parse_overrides([text])[0]))
        except HydraException as error:
            try:
                quoted = _quote(typed)
                parsed.append((quoted, parser.parse_overrides([quoted])[0]))
            except HydraException:
                problems.append(_unreadable(typed, str(error).splitlines()[0]))
    return parsed, problems


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_utf8(text: str) -> Problem:
    return Problem(
        "this override is not UTF-8, as settings are",
        where="command line",
        got=text.encode(errors="surrogateescape").decode(errors="backslashreplace"),
        remedy="rename the file or folder, or link to it by another name (ln -s)",
    )


def _unreadable(text: str, reason: str) -> Problem:
    if "=" in text:
        return Problem(
            "this override cannot be read",
            where="command line",
            got=text,
            allowed="KEY=VALUE",
            remedy=f"({reason})",
        )
    choices = {option: f"{group}={option}" for group in GROUPS for option in options(group)}
    close = nearest(text, [*GROUPS, *choices])
    return Problem(
        "this word is no setting",
        where="command line",
        got=text,
        allowed="KEY=VALUE, such as lambda=0.5 or loss=hint",
        nearest=choices.get(close, f"{close}=..." if close else ""),
        remedy="ctkd list",
    )


def _is_section(key: str) -> bool:
    """Whether a mapping given for a key is merged with what is there (training={steps: 7}), not
    put in its place (target.labels={sports: sport})."""
    first, _, rest = key.partition(".")
    if not rest or (first, rest) == ("teacher", "training"):
        return True
    return first == "source" and rest in options("source")  # one of several


def _quote(override: str) -> str:
    key, equals, value = override.partition("=")
    return f"{key}{equals}{literals.quoted(value)}" if equals else override


def _without_our_quotes(override: str) -> str:
    """An override without the quotes that `_parse` would put there again."""
    key, _, value = override.partition("=")
    if len(value) < 2 or not value.startswith("'") or not value.endswith("'"):
        return override
    found = OverridesParser.create().parse_overrides([override])[0].value()
    bare = f"{key}={found}"
    if _quote(bare) != override:
        return override
    try:
        OverridesParser.create().parse_overrides([bare])
    except HydraException:
        return bare
    return override


def _unknown_choices(group: str, override: Override) -> list[Problem]:
    known = options(group)
    if isinstance(override.value(), Glob):
        return []  # chooses among what is there
    value = override.value()
    values = _choices(override) if override.is_sweep_override() else [value]
    several = [v for v in values if isinstance(v, list)]
    if several and group != "source":
        return [
            Problem(
                f"only source can be several tasks, not {group}", where=group, got=str(several[0]),
                allowed="one option", remedy=f"ctkd list {group}",
            )
        ]  # fmt: skip
    twice = [v for v in several if len(set(v)) < len(v)]
    if twice:
        return [Problem("a source can be chosen once", where=group, got=str(twice[0]))]
    names = [name for v in values for name in (v if isinstance(v, list) else _parts(group, v))]
    return [
        Problem(
            f"unknown {group}",
            where=group,
            got=str(value),
            allowed=", ".join(known),
            nearest=nearest(str(value), known),
            remedy=_as_a_model(group, str(value), known) or f"ctkd list {group}",
        )
        for value in dict.fromkeys(map(str, names))
        if value not in known
    ]


def _as_a_model(group: str, value: str, known: Collection[str]) -> str:
    """What names a model where an option was asked for: hub ids and folders have marks that options
    have not. "" where it does not look like one."""
    if OF_MODELS not in known or not ("/" in value or "-" in value):
        return ""
    return f"{group}={OF_MODELS} {group}.model={value}"


def _choices(override: Override) -> list[Any]:
    """The values of a sweep over a group; a list among them chooses several."""
    value = override.value()
    listed = value.list if isinstance(value, ChoiceSweep) else list(override.sweep_iterator())
    return list(listed)


def _parts(group: str, value: Any) -> list[str]:
    """`a+b` is how Hydra is told of several sources."""
    return several(f"{group}/{value}") or [str(value)]


def _joined(text: str, override: Override) -> str:
    """An override with its lists of options written as Hydra is told of them."""
    value = override.value()
    if isinstance(value, list):
        return f"{override.key_or_group}={'+'.join(map(str, value))}"
    if override.is_sweep_override() and isinstance(value, ChoiceSweep):
        joined = ("+".join(map(str, v)) if isinstance(v, list) else str(v) for v in value.list)
        return f"{override.key_or_group}={','.join(joined)}"
    return text
