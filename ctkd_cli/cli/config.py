"""`ctkd config`: the resolved settings, and where each value comes from."""

from __future__ import annotations

import json
from typing import Any

from ctkd_cli.cli._hydra import start_hydra
from ctkd_cli.cli._options import AsJson, ConfigDir, Overrides
from ctkd_cli.runs.printable import printable

COLUMN = 50  # where the origins stand; longer lines push theirs to the right


def config(
    overrides: Overrides = None, config_dir: ConfigDir = None, as_json: AsJson = False
) -> None:
    """Print the resolved settings of a run, and where each value comes from.

    \b
    Examples:
      ctkd config
      ctkd config loss=hint lambda=0.5
    Then: ctkd check loss=hint lambda=0.5
    """
    from ctkd_cli.cli._provenance import origins
    from ctkd_cli.experiment import of_overrides

    start_hydra(config_dir)
    given = list(overrides or [])
    experiment = of_overrides(given)
    values = origins(experiment, given)
    trainings = {"training": experiment.training, "teacher.training": experiment.teacher.training}
    remarks = {
        f"{part}.{key}": remark
        for part, training in trainings.items()
        for key, remark in training.overruled.items()
    }
    if as_json:
        rows = {
            key: {
                "value": value,
                "from": origin,
                **({"remark": remarks[key]} if key in remarks else {}),
            }
            for key, (value, origin) in values.items()
        }
        print(json.dumps(rows, indent=1))
    else:
        _print_yaml(values, remarks)


def _print_yaml(values: dict[str, tuple[Any, str]], remarks: dict[str, str]) -> None:
    """YAML with the origin, and a remark where there is one, as a comment on each line."""
    from rich.console import Console
    from rich.text import Text

    lines: list[tuple[str, str]] = []
    open_keys: list[str] = []
    for key, (value, origin) in values.items():
        *parents, last = key.split(".")
        for depth, parent in enumerate(parents):
            if open_keys[depth : depth + 1] != [parent]:
                open_keys = [*open_keys[:depth], parent]
                lines.append((f"{'  ' * depth}{parent}:", ""))
        open_keys = parents
        told = f"{origin}; {remarks[key]}" if key in remarks else origin
        lines.append((f"{'  ' * len(parents)}{last}: {_inline(value)}", told))
    console = Console(soft_wrap=True)
    column = min(COLUMN, max(len(line) for line, _ in lines))
    for line, origin in lines:
        text = Text(line.ljust(column) if origin else line)
        console.print(text.append(f"  # {printable(origin)}" if origin else "", style="dim"))


def _inline(value: Any) -> str:
    """A value as YAML on one line; control characters are escaped."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
