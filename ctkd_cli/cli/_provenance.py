"""Where each setting's value comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ctkd_cli.experiment import Experiment
from ctkd_cli.settings import compose
from ctkd_cli.settings.plain_data import leaves

COMMAND_LINE = "command line"
DEFAULT = "default"


def origins(experiment: Experiment, overrides: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Every setting (dotted key) with its value and the YAML, command line or default that it
    comes from."""
    written: dict[str, str] = {}
    for name, package, config in compose.parts(overrides):
        for key, _ in leaves(config):
            written[f"{package}.{key}".lstrip(".")] = name
    for key, value in compose.typed(overrides):
        if isinstance(value, dict):  # merged: only what it names
            for inner, _ in leaves(value):
                written[f"{key}.{inner}"] = COMMAND_LINE
        else:
            # The override is the last word for the key and everything below it.
            written = {k: v for k, v in written.items() if not k.startswith(f"{key}.")}
            written[key] = COMMAND_LINE
    settings = experiment.model_dump(mode="json", by_alias=True)
    return {key: (value, _origin(key, written)) for key, value in leaves(settings)}


def _origin(key: str, written: Mapping[str, str]) -> str:
    """The nearest ancestor of `key` that something wrote."""
    while key:
        if key in written:
            return written[key]
        key = key.rpartition(".")[0]
    return DEFAULT
