"""`ctkd compare`: runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ctkd_cli.reports.comparison import Row


def compare(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run directories, or those of sweeps.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_markdown: Annotated[bool, typer.Option("--md", help="Print a Markdown table.")] = False,
    different_tests: Annotated[
        bool, typer.Option(help="One table, whatever runs were tested on; else one a test set.")
    ] = False,
) -> None:
    """Compare runs: a table for each test set, only the settings that differ, runs of several seeds
    together, the largest gain over the best control first, each tested against the first row
    (paired, Holm-adjusted).

    \b
    Examples:
      ctkd compare outputs/*
      ctkd compare outputs/SWEEP --md > table.md
    """
    from ctkd_cli.reports import comparison

    rows = comparison.compare(directories, different_tests)
    if as_json:
        print(comparison.as_json(rows))
    elif as_csv:
        print(comparison.as_csv(rows), end="")
    elif as_markdown:
        print(comparison.as_markdown(rows, different_tests))
    else:
        parts = comparison.by_test_set(rows, different_tests)
        for name, part in parts.items():
            _print(part, f"tested on {name}" if len(parts) > 1 else "")


def _print(rows: Sequence[Row], heading: str) -> None:
    """Figures in a table, and below it the runs with the settings that differ: any number of them
    fits."""
    from rich.console import Console
    from rich.text import Text

    from ctkd_cli.reports import comparison
    from ctkd_cli.reports.terminal import settings_table
    from ctkd_cli.runs.printable import printable

    console = Console()
    if heading:
        console.print(Text(f"\n{printable(heading)}", style="bold"))
    shown, named = [], []
    for number, (row, line) in enumerate(zip(rows, comparison.table(rows)[1], strict=True), 1):
        seeds, _alone, best, distilled, gain, interval, p, runs = line[-8:]
        shown.append([str(number), seeds, best, distilled, f"{gain} ({interval})", p])
        differs = [f"{key.removesuffix('.name')}={v}" for key, v in row.differs.items() if v]
        named.append(" ".join([f"{number}: {runs}", *differs]))
    titles = ["run", "seeds", "best", "distilled", "gain (95% interval)", "p"]
    console.print(settings_table(titles, shown))
    for told in named:
        console.print(Text(printable(told)))
    explained = f"{rows[0].metric}; best: the best control; p: paired test against run 1, Holm"
    console.print(Text(explained, style="dim"))
