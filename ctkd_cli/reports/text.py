"""report.txt: a classification report for every arm, under a header."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ctkd_cli.reports.arm_titles import in_order_of_interest
from ctkd_cli.reports.findings import (
    brought,
    hint_judged,
    ledger,
    never_predicted,
    on_top_of_stilts,
)
from ctkd_cli.runs.printable import printable

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.evaluation.verdict import Verdict

WIDTH = 88
NAME = 44  # characters of a label: the columns of figures take the rest of WIDTH
MANY = 20  # labels, of which more are folded


def render(results: Results, verdict: Verdict, advice: str) -> str:
    """The whole report as plain text; advice: of recommend."""
    sections = [_header(results, verdict, advice)]
    for arm in in_order_of_interest(results):
        sections.append(_arm(results, arm))
    return "\n\n".join(sections) + "\n"


def _header(results: Results, verdict: Verdict, advice: str) -> str:
    target = results.facts("target")
    spent = {part: sum(target["counts"][part].values()) for part in ("train", "validation")}
    config = results.config
    seeds = results.seeds("distilled")
    lines = [
        "ctkd: cross-task knowledge distillation",
        "",
        *textwrap.wrap(verdict.sentence, WIDTH),
        *textwrap.wrap(verdict.second, WIDTH),
        *textwrap.wrap(verdict.caution, WIDTH),
        *textwrap.wrap(advice, WIDTH),
        "",
        *(
            line
            for role, facts in results.tasks.items()
            for line in _line(f"{role} task", f"{results.titles[role]}, {listed(facts['labels'])}")
        ),
        f"labels spent: {spent['train']} to train + {spent['validation']} to validate"
        + (
            ", in {train} + {validation} examples".format(**target["examples"])
            if results.several
            else ""
        )
        + f"; {target['unlabelled']} unlabelled inputs",
        f"distillation: loss {config['loss']['name']}, bridge {config['bridge']['name']}, "
        f"lambda {config['lambda']:g}, schedule {config['schedule']['name']}",
        *(_line("fusion", _shares(results)) if len(results.sources) > 1 else []),
        *_line(
            "arms",
            f"{', '.join(results.arms)}; seeds {', '.join(map(str, seeds))}",
        ),
    ]
    if len(seeds) > 1:
        lines += _each_seed(results, seeds)
    if cost := results.efficiency:
        lines += _line("cost of use", _cost(cost))
    if results.vocabulary:
        lines += _line("vocabulary", results.vocabulary)
    for name, hint in results.hints.items():
        lines += _line("hint", f"{name}: {hint.sentence}")
    if results.hints:
        lines += _line("", hint_judged(results))
    for name, gain in brought(results).items():
        lines += _line(
            "brought",
            f"{name}: gain {gain.estimate:+.3f} over the same without it "
            f"(95% interval {gain.low:+.3f} to {gain.high:+.3f})",
        )
    if more := on_top_of_stilts(results):
        lines += _line(
            "STILTs",
            f"distillation on top of it: gain {more.estimate:+.3f} "
            f"(95% interval {more.low:+.3f} to {more.high:+.3f})",
        )
    for arm in dict.fromkeys(("distilled", verdict.control)):
        if missing := never_predicted(results, arm):
            lines += _line("never", f"{arm} answers nowhere with {listed(missing)}, though taught")
    for warning in (row.warning for row in ledger(results) if row.warning):
        lines += _line("warning", warning)
    for role, facts in results.tasks.items():
        cut = {part: n for part, n in facts["truncated"].items() if n}
        if cut:
            told = ", ".join(f"{n} of {part}" for part, n in cut.items())
            lines += _line("truncated", f"{role}: {told} lost text to the length limit")
        for note in facts["notes"]:
            lines += _line("note", f"{role}: {note}")
    return "\n".join(lines)


def _each_seed(results: Results, seeds: list[int]) -> list[str]:
    """What the task is judged by, of every arm and seed."""
    metric = results.metric
    arms = [arm for arm in in_order_of_interest(results) if arm not in results.teachers]
    widest = max(len(metric.title), *map(len, arms))
    shown = seeds[:8]
    more = f" (the first {len(shown)} of {len(seeds)} seeds)" if len(shown) < len(seeds) else ""
    return [
        "",
        f"{metric.title:<{widest}}    mean"
        + "".join(f"{f'seed {seed}':>8}" for seed in shown)
        + more,
        *(
            f"{arm:<{widest}}   {results.mean(arm, metric.name):.3f}"
            + "".join(f"{results.scores[arm][seed][metric.name]:8.3f}" for seed in shown)
            for arm in arms
        ),
        "",
    ]


def _cost(cost: dict[str, dict[str, float]]) -> str:
    """Teacher and student side by side."""
    return "; ".join(
        f"{name} {_millions(figures['parameters'])} parameters, {figures['megabytes']:.1f} MB, "
        f"{figures['latency']:.1f} ms for one example, {figures['throughput']:.0f} examples/s"
        for name, figures in cost.items()
    )


def _millions(parameters: float) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else f"{parameters:,.0f}"


def _line(title: str, text: str) -> list[str]:
    """A titled text over as many lines as it needs."""
    head = f"{title}:" if title else ""
    return textwrap.wrap(
        printable(text), WIDTH, initial_indent=f"{head:<13} ", subsequent_indent=" " * 14
    )


def _shares(results: Results) -> str:
    told = ", ".join(f"{name} {share:.0%}" for name, share in results.shares.items())
    return f"{results.config['fusion']}, {told} of lambda"


def _named(labels: list[str]) -> list[str]:
    """Labels that fit the report's first column, and that stay distinct."""
    names = [printable(label) for label in labels]
    short = [name if len(name) <= NAME else f"{name[: NAME - 1]}…" for name in names]
    return [
        name if short.count(name) == 1 else f"{name[: NAME - 5]}…{number}"
        for number, name in enumerate(short, 1)
    ]


def _arm(results: Results, arm: str) -> str:
    """An arm's classification report, all its seeds together."""
    labels, seeds = results.labels(arm), results.seeds(arm)
    task = "its own task, source test" if arm in results.teachers else "target test"
    gold, predicted = (
        pa.concat_arrays(results.rows(arm, seed)[name].combine_chunks() for seed in seeds)
        for name in ("gold", "predicted")
    )
    names = dict(zip(labels, _named(labels), strict=True))
    report = results.kind(arm).report(gold, predicted, names)
    numbers = ", ".join(map(str, seeds))
    title = f"{arm} on {task}, " + (
        f"the answers of seeds {numbers} together" if len(seeds) > 1 else f"seed {numbers}"
    )
    return f"{title}\n{'-' * len(title)}\n{_folded(report.rstrip())}"


def listed(labels: Sequence[str]) -> str:
    """`labels a, b`; of many the first few, and how many there are."""
    if len(labels) <= MANY:
        return f"label{'' if len(labels) == 1 else 's'} {', '.join(labels)}"
    return f"{len(labels)} labels: {', '.join(labels[:MANY])}, ..."


def _folded(report: str) -> str:
    """A classification report; of many labels those with the least F1, the least first."""
    head, body, *rest = report.split("\n\n")
    rows = body.splitlines()
    if len(rows) <= MANY:
        return report
    worst = sorted(rows, key=lambda row: float(row.split()[-2]))[:MANY]
    more = f"{len(rows) - MANY} labels more, with no less F1".rjust(len(worst[0]))
    return "\n\n".join([head, "\n".join([*worst, more]), *rest])
