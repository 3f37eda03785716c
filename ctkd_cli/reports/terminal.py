"""The end of a run, in the terminal."""

from __future__ import annotations

import os
import shlex
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ctkd_cli.reports.arm_titles import in_order_of_interest, name_of
from ctkd_cli.runs.printable import printable, printable_lines

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.evaluation.verdict import Verdict

ENOUGH = 5  # seeds
REGRESSION = "LogisticRegression(C={:g}) of scikit-learn"
# Arms that no student/ holds, with what they are; {}: the strength that was chosen.
RECIPES = {
    "tfidf": f"TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)) and {REGRESSION}",
    "cut_body": f"{REGRESSION} on the student's mean-pooled states",
    "untuned": f"{REGRESSION} on the teacher's mean-pooled states",
    "static": f"{REGRESSION} on static vectors of the student's encoder",
    "setfit": "SetFit with the student's body",
    "setfit_teacher": "SetFit with the teacher's body",
}
STYLES = {
    "helped": "bold green", "hurt": "bold red", "beaten": "bold yellow", "open": "bold yellow"
}  # fmt: skip


def print_summary(results: Results, verdict: Verdict, console: Console | None = None) -> None:
    """The verdict, the arms, where the files are, and what to try next."""
    console = console or Console()
    console.print()
    console.print(Text(verdict.sentence, style=STYLES[verdict.outcome]))
    if verdict.second:
        console.print(Text(verdict.second))
    if verdict.caution:
        console.print(Text(verdict.caution, style="dim"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("arm")
    columns = columns_of(results)
    for title in columns.values():
        table.add_column(title, justify="right")
    best = best_arms(results)
    for arm in in_order_of_interest(results):
        own = " (its own task)" if arm in results.teachers else ""
        table.add_row(
            Text(name_of(arm) + own),
            *(shown(results, arm, name) for name in columns),
            style="bold" if arm in best else "",
        )
    console.print(table)
    folder = os.path.relpath(results.directory)
    for what, file in (("report", "report.html"), ("text", "report.txt"), ("student", "student/")):
        console.print(Text(f"{what + ':':<9}{printable(folder)}/{file}"), soft_wrap=True)
    console.print(Text(f"{'next:':<9}{next_command(results, verdict, folder)}"), soft_wrap=True)


def columns_of(results: Results) -> dict[str, str]:
    """The scores that tables of arms have, with their titles: what the task is judged by first."""
    scores = next(iter(results.scores["distilled"].values()))
    others = {"accuracy": "accuracy", "nll": "NLL", "ece": "ECE"}
    metric = results.metric
    return {metric.name: metric.title} | {k: title for k, title in others.items() if k in scores}


def shown(results: Results, arm: str, score: str) -> str:
    """An arm's score; a dash where its own task is judged by another."""
    known = all(score in each for each in results.scores[arm].values())
    return f"{results.mean(arm, score):.3f}" if known else "–"


def best_arms(results: Results) -> list[str]:
    """The arms of the target task that none does better than, as far as three decimals tell."""
    metric = results.metric
    means = {
        arm: round(results.mean(arm, metric.name), 3)
        for arm in results.arms
        if arm not in results.teachers
    }
    best = (max if metric.higher_is_better else min)(means.values())
    return [arm for arm, mean in means.items() if mean == best]


def settings_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], main: Container[int] = ()
) -> Table:
    """Runs side by side: their settings in the first column, so that any number of them fits, and
    figures in the others. main: the rows that stand out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    first, *figures = titles
    table.add_column(first, overflow="fold", min_width=8)
    for title in figures:
        table.add_column(title, justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        cells = (Text(printable_lines(cell)) for cell in row)
        table.add_row(*cells, style="bold" if number in main else "")
    return table


def next_command(results: Results, verdict: Verdict, folder: str) -> str:
    """What a user would do now: take what does better; or be sure of the gain first, then use the
    student. Arms that had not settled are trained on, twice as long."""
    if verdict.unsettled:
        steps = results.steps["distilled"][0][-1]["steps"]
        return printable(
            results.command(*_kept(results, "training.steps="), f"training.steps={2 * steps}")
        )
    worse, control = verdict.outcome in ("hurt", "beaten"), verdict.control
    if worse and (control in RECIPES or not results.chosen["by"]):
        return printable(taking(results, control))
    kept = _kept(results, "seeds=")
    n_seeds = len(results.seeds("distilled"))
    if not worse and (n_seeds == 1 or (verdict.outcome == "open" and n_seeds < ENOUGH)):
        return printable(results.command(*kept, f"seeds={ENOUGH}"))
    return f"ctkd predict {printable(shlex.quote(folder))} FILE"


def taking(results: Results, arm: str) -> str:
    """How one takes another arm than the distilled one: the command that leaves it in student/ or,
    of a logistic regression that no student/ holds, what it is in the words of its library."""
    if arm == "alone":
        return results.command(*_kept(results, "lambda="), "lambda=0")
    if arm in RECIPES:
        strength = results.fitted.get(arm, {}).get("strength", 1.0)
        return f"{RECIPES[arm].format(strength)}, on the labelled examples; see docs/rivals.md"
    return results.command(*_kept(results, "select="), "select=best_arm")


def _kept(results: Results, *but: str) -> list[str]:
    """The run's overrides, all but some."""
    return [o for o in results.overrides if not o.lstrip("+").startswith((*but, "hydra."))]
