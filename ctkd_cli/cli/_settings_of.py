"""The settings of one option, told from its class: type, value and meaning of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
    "null": "null",
}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
SELECTORS = ("kind", "reader", "backbone", "name")  # the option itself says them
REQUIRED = "required"


def settings_of(group: str, option: str) -> list[dict[str, Any]]:
    """Each setting as `key`, `type`, `default` and `help`; default: what the option sets, else
    that of the setting. Raises InputError."""
    from ctkd_cli.experiment import type_of_option
    from ctkd_cli.settings.compose import compose

    settings = compose([f"{group}={option}"]).settings
    schema = type_of_option(group, settings).model_json_schema()
    return list(_rows(group, schema, schema.get("$defs", {}), settings.get(group) or {}))


def _rows(
    prefix: str, schema: Mapping[str, Any], parts: Mapping[str, Any], values: Any
) -> Iterator[dict[str, Any]]:
    values = values if isinstance(values, Mapping) else {}
    for key, found in schema.get("properties", {}).items():
        if key in SELECTORS:
            continue
        inner = _resolved(found, parts)
        given = values.get(key, found.get("default", REQUIRED))
        if "properties" in inner:
            yield from _rows(f"{prefix}.{key}", inner, parts, given)
            continue
        yield {
            "key": f"{prefix}.{key}",
            "type": _type(found, parts),
            "default": given,
            "help": found.get("description", ""),
        }


def _resolved(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return parts[name] if name else schema


def _type(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """`whole number >= 1 or null`."""
    schema = _resolved(schema, parts)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each, parts) for each in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    bounds = [f"{sign} {schema[bound]:g}" for bound, sign in BOUNDS.items() if bound in schema]
    return " ".join([TYPES.get(schema.get("type", ""), "anything"), ", ".join(bounds)]).strip()
