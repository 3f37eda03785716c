"""student/README.md: a model card, as model hubs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from ctkd_cli.reports.arm_titles import in_order_of_interest
from ctkd_cli.reports.terminal import columns_of, shown
from ctkd_cli.runs.printable import printable

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.evaluation.verdict import Verdict


def render(results: Results, verdict: Verdict, advice: str) -> str:
    """Markdown with YAML front matter; advice: of recommend."""
    learnt = " and on ".join(_listed(facts["labels"]) for facts in results.sources.values())
    sources, target = results.sources.values(), results.facts("target")
    config, kind = results.config, results.kind("distilled")
    front = {
        "tags": ["knowledge-distillation", "ctkd"],
        "pipeline_tag": kind.pipeline,
        "metrics": [
            "f1" if results.metric.name.endswith("_f1") else results.metric.name,
            "accuracy",
        ],
    }
    spent = {part: sum(target["counts"][part].values()) for part in ("train", "validation")}
    columns = columns_of(results)
    rows = "\n".join(
        f"| {arm} | {' | '.join(shown(results, arm, name) for name in columns)} |"
        for arm in in_order_of_interest(results)
        if arm not in results.teachers
    )
    licences = sorted({facts["licence"] for facts in (*sources, target) if facts["licence"]})
    return "\n".join(
        [
            "---",
            yaml.safe_dump({k: v for k, v in front.items() if v}, sort_keys=False).rstrip(),
            "---",
            "",
            f"# Student for {_listed(target['labels'])}",
            "",
            advice,
            "",
            " ".join(filter(None, (verdict.sentence, verdict.second))),
            "",
            "## What it is",
            "",
            f"A classifier of {target['kind']} with the labels {_listed(target['labels'])}, "
            f"{_parameters(results):,} parameters, distilled by ctkd from a "
            f"teacher that was trained on {learnt}.",
            "",
            "## Data",
            "",
            *(
                f"- source task: {source['reader']}, {_total(source, 'train')} labelled examples"
                for source in sources
            ),
            f"- target task: {target['reader']}, {spent['train']} labels to train and "
            f"{spent['validation']} to validate, {target['unlabelled']} unlabelled inputs",
            *(f"- {licence}" for licence in licences),
            "",
            "## Results on target test",
            "",
            f"| arm | {' | '.join(columns.values())} |",
            "|---" * (1 + len(columns)) + "|",
            rows,
            "",
            f"Loss {config['loss']['name']}, bridge {config['bridge']['name']}, "
            f"lambda {config['lambda']:g}. {_kept(results)}",
            "",
            "## Use",
            "",
            kind.usage(),
            "",
            "It was made for inputs like those of its target task, and measured on them only.",
            "",
        ]
    )


def _kept(results: Results) -> str:
    """Whose weights these are: the figures of the table may be of several seeds."""
    first, *others = results.seeds("distilled")
    metric = results.metric
    score = results.scores["distilled"][first][metric.name]
    rest = f"; the table has means over {1 + len(others)} seeds." if others else "."
    return f"These weights are those of seed {first}, with {metric.title} {score:.3f}{rest}"


def _parameters(results: Results) -> int:
    """Of the student: counted in the model where it was measured."""
    measured = results.efficiency.get("student", results.models["student"])
    return int(measured["parameters"])


def _listed(labels: list[str]) -> str:
    return ", ".join(f"`{printable(label).replace('`', '')}`" for label in labels)


def _total(facts: dict[str, dict[str, dict[str, int]]], part: str) -> int:
    return sum(facts["counts"][part].values())
