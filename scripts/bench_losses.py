"""Losses on real cross-task pairs: macro-F1 beside the student alone, same labels and budget.

    .venv/bin/python scripts/bench_losses.py run --pair overlapping --seeds 1 2 3
    .venv/bin/python scripts/bench_losses.py run --pair nested --recipes kl+hint mapped_kl@ot
    .venv/bin/python scripts/bench_losses.py table

A recipe is a loss, or several joined by + (loss=mix, weights 1), with @BRIDGE where it is not the
default. Each figure is one line of docs/bench_losses.jsonl; a second call does what is missing.
Nothing is selected on test: recipes run as shipped, with lambda 1 and a fixed number of steps. The
pair `sentiment` needs `ctkd fetch sentences`.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

from ctkd_cli.arms import sources as source_side
from ctkd_cli.arms.bridged_knowledge import apply_bridge
from ctkd_cli.arms.controls import Controls
from ctkd_cli.arms.encoded_task import EncodedTask
from ctkd_cli.arms.keys import target_pool
from ctkd_cli.arms.student import Arm, train_arm
from ctkd_cli.distillation.losses.base import Loss
from ctkd_cli.errors import InputError
from ctkd_cli.evaluation.significance import Interval, t_interval
from ctkd_cli.experiment import Experiment, of_overrides
from ctkd_cli.preflight import compatibility
from ctkd_cli.runs import console
from ctkd_cli.runs.rundir import RunDirectory
from ctkd_cli.settings.component import available
from ctkd_cli.tasks import task

PAIRS = {
    "nested": ["target=bbc_headlines"],
    "overlapping": ["target=bbc_headlines_5"],
    "disjoint": ["target=bbc_headlines_other"],
    "sentiment": [
        "source=movie_sentences", "source.limit=2000", "source.max_length=64",
        "target=nyt_sentences", "target.limit=1500", "target.max_length=64",
    ],
}  # fmt: skip
RESULTS = Path("docs/bench_losses.jsonl")
ALONE, STILTS = "alone", "stilts"  # no loss: the student alone, and fine-tuned on the source first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--pair", choices=PAIRS, required=True)
    run.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    singles = [name for name in available(Loss) if name != "mix"]
    run.add_argument("--recipes", nargs="+", default=singles)
    run.add_argument("--labels", type=int, default=4, help="labels per class")
    verbs.add_parser("table")
    options = parser.parse_args()
    if options.verb == "table":
        print_tables()
        return
    console.hush_libraries()
    for seed in options.seeds:
        for recipe in [ALONE, STILTS, *options.recipes]:
            key = {"pair": options.pair, "labels": options.labels, "seed": seed, "loss": recipe}
            if any(key.items() <= line.items() for line in lines()):
                continue
            try:
                macro_f1 = measure(**key)
            except InputError as error:
                print(f"{key}: {error}".splitlines()[0], file=sys.stderr)
                continue
            RESULTS.parent.mkdir(exist_ok=True)
            with RESULTS.open("a") as stream:
                stream.write(json.dumps({**key, "macro_f1": macro_f1}) + "\n")
            print(f"{options.pair} seed {seed} {recipe}: {macro_f1:.3f}", flush=True)


def measure(pair: str, labels: int, seed: int, loss: str) -> float:
    """Macro-F1 on test of one student. Raises InputError when the loss cannot serve the pair."""
    plain = {ALONE: [], STILTS: ["controls.arms=[stilts]"]}
    chosen = plain[loss] if loss in plain else overrides_of(loss)
    overrides = [*PAIRS[pair], f"target.labels_per_class={labels}", f"seed={seed}", *chosen]
    experiment: Experiment = of_overrides([*overrides, "device.threads=1"])
    sources = source_side.load(experiment)
    target = task.load(experiment.target, seed)
    compatibility.require(experiment, sources, target)
    rundir = RunDirectory(Path("outputs/bench_losses") / pair, console.SilentDisplay())
    pool = target_pool(target)
    asked = source_side.ask_teachers(experiment, sources, pool, rundir)
    bridged = apply_bridge(experiment, target, [said for _, said in asked.values()])
    encoded = EncodedTask.of(target, experiment.student, experiment.device)
    train = partial(train_arm, experiment, encoded, rundir)
    if loss == ALONE:
        outputs = train(Arm("alone"))
    elif loss == STILTS:
        arms = Controls(experiment, sources, target, lambda: pool, bridged, rundir, train)
        (outputs,) = arms.outputs()
    else:
        outputs = train(Arm("distilled", terms=bridged.terms, taught=bridged.key))
    predicted = outputs.logits.argmax(axis=1)
    return float(f1_score(target.test.labels.values, predicted, average="macro"))


def overrides_of(recipe: str) -> list[str]:
    """`probe_kl+hint@fused` as settings."""
    loss, _, bridge = recipe.partition("@")
    names = loss.split("+")
    terms = ", ".join(f"{name}: 1" for name in names)
    chosen = [f"loss={loss}"] if len(names) == 1 else ["loss=mix", f"loss.terms={{{terms}}}"]
    return [*chosen, *([f"bridge={bridge}"] if bridge else [])]


def lines() -> list[dict[str, object]]:
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def print_tables() -> None:
    """Markdown: a table per pair and number of labels, the best first."""
    found = lines()
    for pair, labels in sorted({(line["pair"], line["labels"]) for line in found}, key=str):
        scores: dict[str, dict[int, float]] = {}
        for line in found:
            if (line["pair"], line["labels"]) == (pair, labels):
                of_recipe = scores.setdefault(str(line["loss"]), {})
                of_recipe[int(str(line["seed"]))] = float(str(line["macro_f1"]))
        print(f"\n### {pair}, {labels} labels per class\n")
        print("| loss | seeds | macro-F1 | gain over alone | gain over STILTs |")
        print("|---|---|---|---|---|")
        for loss in sorted(scores, key=lambda name: -np.mean(list(scores[name].values()))):
            each = scores[loss]
            mean = shown(t_interval(list(each.values())), "")
            gains = [
                "" if loss == over else shown(
                    t_interval([f1 - scores[over][seed] for seed, f1 in each.items()]), "+"
                )
                for over in (ALONE, STILTS)
            ]  # fmt: skip
            print(f"| {loss} | {len(each)} | {mean} | {gains[0]} | {gains[1]} |")


def shown(found: Interval, sign: str) -> str:
    """A mean with its 95% t-interval over seeds, where there are two."""
    low, mean, high = (f"{x:{sign}.3f}" for x in (found.low, found.estimate, found.high))
    return mean if np.isnan(found.low) else f"{mean} ({low} to {high})"


if __name__ == "__main__":
    main()
