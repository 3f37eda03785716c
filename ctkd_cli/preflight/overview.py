"""What can be known of an experiment without training anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ctkd_cli.errors import InputError

if TYPE_CHECKING:
    from ctkd_cli.distillation.bridges.base import LabelMap
    from ctkd_cli.distillation.knowledge import Knowledge
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.tasks.task import Task


def look(experiment: Experiment) -> tuple[dict[str, Any], LabelMap | None]:
    """Plain data of settings, data and cost (seconds, GiB), and the label map as far as it is
    known. Raises InputError when tasks and settings do not go together."""
    from ctkd_cli.arms import sources as source_side
    from ctkd_cli.cache.entries import require_writable
    from ctkd_cli.distillation.terms import hint_of
    from ctkd_cli.preflight import compatibility
    from ctkd_cli.preflight.checks import target_of
    from ctkd_cli.preflight.estimate import estimate
    from ctkd_cli.preflight.nearness import nearness

    require_writable()
    sources = source_side.taught(experiment, source_side.load(experiment))
    experiment, target = target_of(experiment, experiment.parts[0])
    compatibility.require(experiment, sources, target)
    known = known_already(experiment, sources, target)
    cost = estimate(experiment, sources, target, heard=list(known))
    label_map, reason = preview_label_map(experiment, sources, target, known)
    return {
        "sources": {name: describe(source) for name, source in sources.items()},
        "target": describe(target),
        "overlap": {name: overlap(source, target) for name, source in sources.items()},
        "label_map": None if label_map is None else label_map.weights.tolist(),
        "label_map_note": reason,
        "nearness": nearness(sources, target),
        "transfer": {name: asdict(hint_of(said, target)) for name, said in known.items()},
        "seconds": {stage: round(seconds, 1) for stage, seconds in cost.seconds.items()},
        "time": cost.sentence,
        "memory_gib": round(cost.memory / 2**30, 1),
    }, label_map


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
