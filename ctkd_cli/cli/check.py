"""`ctkd check`: everything but training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ctkd_cli.cli._hydra import start_hydra
from ctkd_cli.cli._options import AsJson, ConfigDir, Overrides
from ctkd_cli.runs.printable import printable_lines
from ctkd_cli.runtime import streams

if TYPE_CHECKING:
    from rich.console import Console

    from ctkd_cli.distillation.bridges.base import LabelMap
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task


def check(
    overrides: Overrides = None, config_dir: ConfigDir = None, as_json: AsJson = False
) -> None:
    """Look at settings, data, label map and cost, without training anything.

    \b
    Examples:
      ctkd check
      ctkd check target=files target.train=my.csv target.label=stars
    Then: ctkd run, with the same overrides
    """
    from ctkd_cli.arms import sources as source_side
    from ctkd_cli.cache.entries import require_writable
    from ctkd_cli.distillation.terms import hint_of
    from ctkd_cli.experiment import of_overrides
    from ctkd_cli.preflight import compatibility
    from ctkd_cli.preflight.estimate import estimate
    from ctkd_cli.tasks import task

    start_hydra(config_dir)
    experiment = of_overrides(list(overrides or []))
    require_writable()
    sources = source_side.taught(experiment, source_side.load(experiment))
    target = task.load(experiment.target, experiment.seed, experiment.parts[0])
    compatibility.require(experiment, sources, target)
    known = known_already(experiment, sources, target)
    cost = estimate(experiment, sources, target, heard=list(known))
    label_map, reason = preview_label_map(experiment, sources, target, known)
    found: dict[str, Any] = {
        "sources": {name: describe(source) for name, source in sources.items()},
        "target": describe(target),
        "overlap": {name: overlap(source, target) for name, source in sources.items()},
        "label_map": None if label_map is None else label_map.weights.tolist(),
        "label_map_note": reason,
        "transfer": {name: asdict(hint_of(said, target)) for name, said in known.items()},
        "seconds": {stage: round(seconds, 1) for stage, seconds in cost.seconds.items()},
        "memory_gib": round(cost.memory / 2**30, 1),
    }
    if as_json:
        print(streams.as_json(found, indent=1))
    else:
        _print(found, label_map, cost.sentence)


def describe(task: Task) -> dict[str, Any]:
    """Counts, sizes and notes of a task."""
    import numpy as np

    sizes = np.asarray(task.settings.sizes(task.train.inputs))
    counts = task.counts()
    return {
        "kind": task.settings.kind,
        "reader": task.settings.reader,
        "counts": counts,
        "labels_spent": {part: sum(counts[part].values()) for part in ("train", "validation")},
        "unlabelled": len(task.train) - len(task.labelled),
        "sizes": {
            "unit": task.settings.size_unit,
            "median": float(np.median(sizes)),
            "95%": float(np.percentile(sizes, 95)),
            "longest": int(sizes.max()),
        },
        "notes": list(task.notes),
    }


def overlap(source: Task, target: Task) -> int:
    """Target test examples that the teacher is trained on."""
    if source.settings.kind != target.settings.kind:
        return 0
    import numpy as np

    return int(np.isin(target.test.keys, source.train.keys).sum())


def known_already(
    experiment: Experiment, sources: Mapping[str, Task], target: Task
) -> dict[str, Knowledge]:
    """What teachers in the cache have said of these target inputs already."""
    from ctkd_cli.arms.keys import knowledge_key, target_pool, teacher_key
    from ctkd_cli.cache.entries import Cache
    from ctkd_cli.distillation.knowledge import read

    found = {}
    for name, source in sources.items():
        teacher = teacher_key(experiment, source)
        key = knowledge_key(experiment, teacher, target_pool(target))
        if entry := Cache("knowledge").find(key):
            found[name] = read(entry, name, source.labels, key)
    return found


def preview_label_map(
    experiment: Experiment,
    sources: Mapping[str, Task],
    target: Task,
    known: Mapping[str, Knowledge],
) -> tuple[LabelMap | None, str]:
    """The label map, as far as it can be known without a model: from what the teachers have said
    already, or from names. With it, or instead of it, a remark."""
    from ctkd_cli.arms.bridged_knowledge import apply_bridge, bridge_between
    from ctkd_cli.distillation.bridges.base import stacked
    from ctkd_cli.errors import InputError

    if len(known) == len(sources):
        maps = apply_bridge(experiment, target, list(known.values())).label_maps
        learned = "learned; the teacher is in the cache" if experiment.bridge.learned else ""
        return stacked(maps), learned
    remark = "to be learned from the labelled target examples, once the teacher has read them"
    try:
        named = {
            name: bridge_between(experiment, source.labels, target.labels).preview(
                source.labels, target.labels
            )
            for name, source in sources.items()
        }
    except InputError as error:
        return None, str(error)
    maps = {name: label_map for name, label_map in named.items() if label_map is not None}
    if len(maps) < len(named) or (experiment.bridge.learned and not stacked(maps).weights.any()):
        return None, remark
    return stacked(maps), f"as known before; {remark}" if experiment.bridge.learned else ""


def _print(found: dict[str, Any], label_map: LabelMap | None, seconds: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

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
    _print_hints(console, found["transfer"])
    console.print(f"estimated time: {seconds}; memory: {found['memory_gib']:.1f} GiB")


def _print_hints(console: Console, hints: dict[str, dict[str, float]]) -> None:
    """Transfer hints of the teachers that have spoken, the most promising first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ctkd_cli.distillation.transfer import COLUMNS, Hint

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
