"""`ctkd list`: the groups, and what each offers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctkd_cli.cli._hydra import start_hydra
from ctkd_cli.cli._options import AsJson, ConfigDir
from ctkd_cli.errors import InputError, Problem, nearest
from ctkd_cli.runs.printable import printable_lines

if TYPE_CHECKING:
    from rich.text import Text

WHOLE = ("experiment",)  # groups whose options set other groups


def list_options(
    group: Annotated[str | None, typer.Argument(help="A group, such as loss.")] = None,
    option: Annotated[str | None, typer.Argument(help="One of its options.")] = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the options of every group; of one, with a line of help each; or the settings of an
    option: type, default and meaning.

    \b
    Examples:
      ctkd list
      ctkd list loss
      ctkd list target files
    Then: ctkd run loss=hint
    """
    from ctkd_cli.settings.config_files import GROUPS, options

    start_hydra(config_dir)
    if group is None:
        _print_groups({name: options(name) for name in GROUPS}, as_json)
        return
    if group not in GROUPS:
        raise InputError(
            Problem(
                "unknown group",
                where="ctkd list",
                got=group,
                allowed=", ".join(GROUPS),
                nearest=nearest(group, GROUPS),
            )
        )
    if option is not None:
        _show_option(group, option, as_json)
        return
    rows = [describe(group, each) for each in options(group)]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    _print_options(rows)
    if group not in WHOLE:
        print(f"settings of an option: ctkd list {group} {rows[0]['option']}")


def _show_option(group: str, option: str, as_json: bool) -> None:
    """The settings of an option. Raises InputError when there is none of that name."""
    from ctkd_cli.cli._settings_of import settings_of
    from ctkd_cli.settings.config_files import options

    if option not in options(group):
        raise InputError(
            Problem(
                f"unknown {group}",
                where=f"ctkd list {group}",
                got=option,
                allowed=", ".join(options(group)),
                nearest=nearest(option, options(group)),
            )
        )
    if group in WHOLE:
        raise InputError(
            Problem(
                "an experiment sets what other groups offer, and has no settings of its own",
                where=f"ctkd list {group}",
                got=option,
                remedy=f"ctkd config {group}={option}",
            )
        )
    rows = settings_of(group, option)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    if not rows:
        print(f"{group}={option} has no settings of its own")
        return
    titles = ["setting", "default", "type and meaning"]
    cells = [
        [row["key"], plain(row["default"]), "\n".join(filter(None, [row["help"], row["type"]]))]
        for row in rows
    ]
    _print_table(titles, cells)


def plain(value: Any) -> str:
    """A value as one would type it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def describe(group: str, option: str) -> dict[str, str]:
    """An option's line of help (the first comment of its YAML), and what a loss needs."""
    from ctkd_cli.settings.config_files import option_file, packaged_configs

    file = option_file(group, option)
    assert file is not None
    comments = [
        line.removeprefix("#").strip()
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.startswith("#") and "@package" not in line
    ]
    yours = {} if packaged_configs() in file.parents else {"file": str(file)}
    needs = _loss_needs(option) if group == "loss" else {}
    return {"option": option, "help": comments[0] if comments else "", **needs, **yours}


def _loss_needs(option: str) -> dict[str, str]:
    from ctkd_cli.distillation.losses.base import Loss
    from ctkd_cli.settings.component import available, find

    if option not in available(Loss):
        return {}
    loss = find(Loss, option, "loss.name")  # type: ignore[type-abstract]
    needs = [
        f"{loss.needs_shared_labels} shared labels" if loss.needs_shared_labels else "",
        "a bridge" if loss.needs_bridge else "",
        f"{loss.needs_labelled_per_class} labelled per class"
        if loss.needs_labelled_per_class
        else "",
        f"batches of {loss.min_batch}" if loss.min_batch > 1 else "",
    ]
    return {
        "needs": ", ".join(need for need in needs if need),
        "choose_when": loss.choose_when,
    }


def _print_groups(groups: dict[str, list[str]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(groups, indent=1))
    else:
        _print_table(["group", "options"], [[k, ", ".join(v)] for k, v in groups.items()])


def _print_options(rows: list[dict[str, str]]) -> None:
    """A line of help per option, and below it when to choose it and where it lies."""
    further = [column for column in ("needs",) if any(column in row for row in rows)]
    cells = []
    for row in rows:
        remarks = [f"when {row['choose_when']}"] if "choose_when" in row else []
        remarks += [row["file"]] if "file" in row else []
        helped = "\n".join([row["help"], *remarks])
        cells.append([row["option"], helped, *(row.get(column, "") for column in further)])
    _print_table(["option", "what", *further], cells)


def _print_table(titles: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, title in enumerate(titles):
        table.add_column(title, no_wrap=index == 0, style="bold" if index == 0 else "")
    for row in rows:
        table.add_row(*(_first_line_bright(Text(printable_lines(cell))) for cell in row))
    Console().print(table)


def _first_line_bright(text: Text) -> Text:
    """Everything below a cell's first line is a remark."""
    end = text.plain.find("\n")
    if end >= 0:
        text.stylize("dim", end)
    return text
