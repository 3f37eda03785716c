"""What `ctkd check` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ctkd_cli.distillation.transfer import COLUMNS, Hint
from ctkd_cli.preflight.nearness import NEAR
from ctkd_cli.runs.printable import printable_lines

if TYPE_CHECKING:
    from ctkd_cli.distillation.bridges.base import LabelMap


def show(found: dict[str, Any], label_map: LabelMap | None) -> None:
    """What preflight/overview.py has found, on the terminal."""
    console = Console()
    several = len(found["sources"]) > 1
    sources = {
        f"source {name}" if several else "source": task for name, task in found["sources"].items()
    }
    for role, task in {**sources, "target": found["target"]}.items():
        console.print(Text(f"{role} task: {task['kind']} from {task['reader']}", style="bold"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("label")
        for part in task["counts"]:
            table.add_column(part, justify="right")
        for label in task["counts"]["train"]:
            table.add_row(
                Text(printable_lines(label)),
                *(str(counts[label]) for counts in task["counts"].values()),
            )
        table.add_section()
        table.add_row("in all", *(str(sum(counts.values())) for counts in task["counts"].values()))
        console.print(table)
        spent, sizes = task["labels_spent"], task["sizes"]
        console.print(
            f"labels spent: {spent['train']} to train + {spent['validation']} to validate; "
            f"unlabelled inputs: {task['unlabelled']}\n"
            f"{sizes['unit']} per example: median {sizes['median']:.0f}, "
            f"95% {sizes['95%']:.0f}, longest {sizes['longest']}"
        )
        for note in task["notes"]:
            console.print(Text(printable_lines(f"note: {note}"), style="yellow"))
        console.print()
    for name, n in found["overlap"].items():
        if n:
            console.print(
                f"[red]{n} target test examples are among the train examples of {name}[/]\n"
            )
    if label_map is None:
        console.print(Text(printable_lines(f"label map: {found['label_map_note']}\n")))
    else:
        console.print(Text("label map: P(target label given source label)", style="bold"))
        if found["label_map_note"]:
            console.print(Text(found["label_map_note"], style="dim"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("source")
        for label in label_map.target_labels:
            table.add_column(Text(printable_lines(label)), justify="right")
        for label, row, there in zip(
            label_map.source_labels, label_map.weights, label_map.mapped, strict=True
        ):
            table.add_row(
                Text(printable_lines(label)), *(f"{w:.2f}" if there else "unmapped" for w in row)
            )
        console.print(table)
    _print_nearness(console, found["nearness"])
    _print_hints(console, found["transfer"])
    console.print(f"estimated time: {found['time']}; memory: {found['memory_gib']:.1f} GiB")


def _print_nearness(console: Console, sources: dict[str, float]) -> None:
    """How near the sources' texts are, the nearest first."""
    if not sources:
        return
    console.print(Text("how near the source's texts are, by their words", style="bold"))
    for name, similarity in sources.items():
        told = "near" if similarity >= NEAR else "far"
        console.print(Text(printable_lines(f"{name}: {told} (similarity {similarity:.2f})")))
    console.print(
        Text(
            f"near: {NEAR} and more; of twelve pairs measured all 7 near ones gained, and 2 of 5 "
            "far ones (docs/benchmarks.md). Far: teacher.adaptation=contrastive may help\n",
            style="dim",
        )
    )


def _print_hints(console: Console, hints: dict[str, dict[str, float]]) -> None:
    """Transfer hints of the teachers that have spoken, the most promising first."""

    if not hints:
        console.print(Text("transfer hint: once the teacher has read the target inputs\n"))
        return
    console.print(Text("transfer hint, from the labelled target examples", style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("source")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for name, hint in sorted(hints.items(), key=lambda item: -item[1]["leep_gain"]):
        table.add_row(Text(name), *(f"{hint[figure]:.3f}" for figure in COLUMNS))
    console.print(table)
    for name, figures in hints.items():
        console.print(Text(f"{name}: {Hint(**figures).sentence}", style="dim"))
    console.print()
