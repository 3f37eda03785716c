"""`ctkd cache`: what is kept for later runs, and making room."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctkd_cli.cache.entries import SORTS
from ctkd_cli.cli._options import AsJson
from ctkd_cli.errors import InputError, Problem, nearest
from ctkd_cli.runs.printable import printable
from ctkd_cli.runtime import streams

if TYPE_CHECKING:
    from ctkd_cli.cache.eviction import Entry

cache = typer.Typer(help="Show or clear what is kept for later runs.")
Sort = Annotated[str | None, typer.Option(help=f"Only one of {', '.join(SORTS)}.")]
OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Only what was not used for so long: 12h, 30d.")
]


@cache.callback(invoke_without_command=True)
def _without_verb(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@cache.command("list")
def list_cache(sort: Sort = None, older_than: OlderThan = None, as_json: AsJson = False) -> None:
    """Show what is kept, the longest unused first.

    \b
    Examples:
      ctkd cache list
      ctkd cache list --older-than 30d
    Then: ctkd cache clear --older-than 30d
    """
    found = _chosen(sort, older_than)
    if as_json:
        print(streams.as_json([_plain(entry) for entry in found], indent=1))
    else:
        _print(found)


@cache.command("clear")
def clear_cache(sort: Sort = None, older_than: OlderThan = None) -> None:
    """Remove what is kept, but for what a running job uses. Runs that are done need none of it.

    \b
    Examples:
      ctkd cache clear --older-than 30d
      ctkd cache clear --sort arms
      ctkd cache clear
    """
    from ctkd_cli.cache import eviction

    gone, used, others = eviction.clear(_chosen(sort, older_than))
    freed = eviction.size_in_words(sum(entry.size for entry in gone))
    print(f"removed {len(gone)} of {len(gone) + len(used) + len(others)} entries, {freed}")
    if used:
        print(f"left {len(used)} that a running job uses or makes")
    if others:
        print(f"left {len(others)} of other users, which this user may not remove")


def _chosen(sort: str | None, older_than: str | None) -> list[Entry]:
    from ctkd_cli.cache import eviction

    if sort is not None and sort not in SORTS:
        raise InputError(
            Problem(
                "no such sort of entry", where="--sort", got=sort,
                allowed=", ".join(SORTS), nearest=nearest(sort, SORTS),
            )
        )  # fmt: skip
    age = 0.0 if older_than is None else eviction.seconds_of(older_than, "--older-than")
    return [
        entry
        for entry in eviction.entries()
        if sort in (None, entry.sort) and entry.used <= time.time() - age
    ]


def _plain(entry: Entry) -> dict[str, object]:
    return {
        "sort": entry.sort, "key": entry.key, "bytes": entry.size, "used": entry.used,
        "made_by": entry.by, "whole": not entry.making, "in_use": entry.in_use,
        "readable": entry.readable,
        "path": str(entry.path),
    }  # fmt: skip


def _print(found: list[Entry]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ctkd_cli.cache import eviction
    from ctkd_cli.cache.places import cache_root

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title, justify in (("sort", "left"), ("key", "left"), ("size", "right"),
                           ("last use", "right"), ("made by", "left")):  # fmt: skip
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for entry in found:
        used = "in use" if entry.in_use else eviction.age_in_words(entry.used)
        run = Path(entry.by)
        shown = f"{run.parent.name}/{run.name}" if run.name.isdigit() else run.name  # of a sweep
        by = "not whole" if entry.making else printable(shown)
        by = by if entry.readable else "cannot be read by this user"
        size = eviction.size_in_words(entry.size)
        table.add_row(entry.sort, entry.key[:12], size, used, Text(by))
    if found:
        console.print(table)
    total = eviction.size_in_words(sum(entry.size for entry in found))
    limit = eviction.limit()
    allowed = "no limit" if limit is None else f"limit {eviction.size_in_words(limit)}"
    count = f"{len(found)} entr{'y' if len(found) == 1 else 'ies'}"
    console.print(Text(f"{count}, {total} ({allowed}) in {cache_root()}"), soft_wrap=True)
