"""The end of a sweep, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from ctkd_cli.reports import sweep_words as words
from ctkd_cli.reports.terminal import settings_table
from ctkd_cli.runs.printable import printable, printable_lines
from ctkd_cli.sweep import shapes
from ctkd_cli.sweep.directory import MANY
from ctkd_cli.sweep.job import NOT_BEGUN, PRUNED, shortened

if TYPE_CHECKING:
    from rich.table import Table

    from ctkd_cli.sweep.directory import Sweep
    from ctkd_cli.sweep.job import Group

FAILURES = 5  # jobs whose reason is shown
STOPPED = ("interrupted", NOT_BEGUN)


def show(sweep: Sweep, console: Console | None = None) -> None:
    """Means over seeds, the settings that validation chooses, what labels were saved, which jobs
    did not end, and where the files are."""
    console = console or Console()
    if sweep.groups:
        console.print()
        console.print(
            Text(
                f"{sweep.metric.title}, means over seeds, gain over the best control", style="bold"
            )
        )
        console.print(_table(sweep, console))
        for line in _answers(sweep):
            console.print(line)
    _show_failures(sweep, console)
    console.print(Text(f"table: {sweep.directory}/sweep.csv"), soft_wrap=True)
    console.print(Text(f"page:  {sweep.directory}/sweep.html"), soft_wrap=True)


def _show_failures(sweep: Sweep, console: Console) -> None:
    """Reasons, and how to run such a job again; jobs that were not let run are counted."""
    stopped = [job for job in sweep.failed if job.status in STOPPED]
    failed = [job for job in sweep.failed if job.status not in STOPPED]
    for job in failed[:FAILURES]:
        told = f"job {job.name} {job.status}" + (f": {job.reason}" if job.reason else "")
        console.print(Text(printable_lines(told), style="red"))
        again = Text(f"  again: {printable(sweep.command(job))}", style="dim")
        console.print(again, soft_wrap=True)
    if (more := len(failed) - FAILURES) > 0:
        console.print(Text(f"and {more} more, see sweep.html", style="red"))
    if pruned := [job.name for job in sweep.jobs if job.status == PRUNED]:
        console.print(Text(f"pruned, below the median of the others: {', '.join(pruned)}"))
    if stopped:
        console.print(Text(f"{len(stopped)} of {len(sweep.jobs)} jobs were stopped or not begun"))
        console.print(Text(f"finish: {printable(sweep.resume)}"), soft_wrap=True)


def _answers(sweep: Sweep) -> list[Text]:
    if saved := shapes.saved(sweep):
        return [Text(words.saving(each, sweep.metric)) for each in saved]
    if len(sweep.groups) < 2:
        return []  # the table says it
    style = "bold" if sweep.best is not None else "yellow"
    return [
        Text(printable(words.answer(sweep)), style=style), Text(words.caution(sweep), style="dim")
    ]  # fmt: skip


def _table(sweep: Sweep, console: Console) -> Table:
    """A line per group where that fits, perhaps with short names, else one per setting."""
    groups = sweep.ranked
    shown = groups[:MANY]
    main = [row for row, group in enumerate(shown) if group is sweep.best]
    for short, stacked in ((False, False), (True, False), (True, True)):
        rows = [_row(sweep, group, short, stacked) for group in shown]
        table = settings_table(_titles(sweep, short, stacked), rows, main)
        anyhow = console.options.update(max_width=10_000)
        if Measurement.get(console, anyhow, table).maximum <= console.width:
            break
    if len(groups) > len(shown):
        order = "the first" if sweep.chooses is None else f"the best on {sweep.chosen_on}"
        table.caption = f"{order}; all {len(groups)} in sweep.html"
    return table


def _titles(sweep: Sweep, short: bool, stacked: bool) -> list[str]:
    unseen = [] if sweep.chooses is None else [words.chosen_by(sweep, short)]
    gain = "gain" if stacked else "gain (95% interval)"
    return ["settings", "seeds", *unseen, "alone", "distilled", gain]


def _row(sweep: Sweep, group: Group, short: bool, stacked: bool) -> list[str]:
    unseen = [] if sweep.chooses is None else [f"{sweep.unseen(group):.3f}"]
    means = [f"{group.score(arm):.3f}" for arm in ("alone", "distilled")]
    name, gain, interval = group.name, f"{group.gain.estimate:+.3f}", words.spread(group.gain)
    if short:
        keys = {key: tail for key, tail in shortened(sweep.varied).items() if key in group.settings}
        named = [f"{tail}={group.settings[key]}" for key, tail in keys.items()]
        name = ("\n" if stacked else " ").join(named) or group.name
    if interval:
        interval = f"\n{interval}" if stacked else f" ({interval})"
    return [name, str(group.n_seeds), *unseen, *means, f"{gain}{interval}"]
