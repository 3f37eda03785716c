"""`ctkd compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run directories, or those of sweeps.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_markdown: Annotated[bool, typer.Option("--md", help="Print a Markdown table.")] = False,
    different_tests: Annotated[
        bool, typer.Option(help="Compare runs with different test sets too.")
    ] = False,
) -> None:
    """Compare runs: only the settings that differ, runs of several seeds together, the largest gain
    over the best control first, each tested against the first row (paired, Holm-adjusted).

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
        print(comparison.as_markdown(rows))
    else:
        _print(rows[0].metric, *comparison.table(rows))


def _print(metric: str, titles: list[str], cells: list[list[str]]) -> None:
    """The settings in one column, so that any number of them fits."""
    from rich.console import Console
    from rich.text import Text

    from ctkd_cli.reports.terminal import settings_table

    n_settings = titles.index("seeds")
    shown = []
    for line in cells:
        pairs = zip(titles, line[:n_settings], strict=False)
        named = " ".join(f"{key.removesuffix('.name')}={value}" for key, value in pairs if value)
        seeds, _alone, best, distilled, gain, interval, p = line[n_settings:]
        shown.append([named or "as given", seeds, best, distilled, f"{gain} ({interval})", p])
    named_figures = ["seeds", "best", "distilled", "gain (95% interval)", "p"]
    console = Console()
    console.print(settings_table(["settings", *named_figures], shown))
    explained = f"{metric}; best: the best control; p: paired test against the first row, Holm"
    console.print(Text(explained, style="dim"))
