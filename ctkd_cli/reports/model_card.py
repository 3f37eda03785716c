"""student/README.md: a model card, as model hubs read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import yaml

from ctkd_cli.evaluation.costs import no_dearer
from ctkd_cli.evaluation.metrics import SELECTS
from ctkd_cli.reports.arm_titles import in_order_of_interest, name_of
from ctkd_cli.reports.terminal import columns_of, shown
from ctkd_cli.runs.printable import printable

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.evaluation.verdict import Verdict


WITHOUT_TORCH = (
    "With numpy and tokenizers alone, from inside this folder or with it on the path:",
    "",
    "```python",
    "from static_numpy import StaticStudent",
    "",
    'student = StaticStudent("path/to/student")',
    'print(student.labels, student.probabilities(["..."]))',
    "```",
    "",
)


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
            f"{_parameters(results):,} parameters, {_made(results)} "
            f"teacher that was trained on {learnt}.",
            "",
            *(line for text in (_chosen(results), _beaten(results)) if text for line in (text, "")),
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
            kind.usage(own_code=any((results.directory / "student").glob("*.py"))),
            "",
            *(
                WITHOUT_TORCH
                if (results.directory / "student" / "static_numpy.py").exists()
                else ()
            ),
            "It was made for inputs like those of its target task, and measured on them only.",
            "",
        ]
    )


def _kept(results: Results) -> str:
    """Whose weights these are: the figures of the table may be of several seeds."""
    first, *others = results.seeds("distilled")
    metric = results.metric
    score = results.scores[results.chosen["arm"]][first][metric.name]
    rest = f"; the table has means over {1 + len(others)} seeds." if others else "."
    return f"These weights are those of seed {first}, with {metric.title} {score:.3f}{rest}"


def _made(results: Results) -> str:
    """By which arm, up to the teacher that it heard of or was compared with."""
    arm = results.chosen["arm"]
    if arm == "distilled":
        return "distilled by ctkd from a"
    return f"trained by ctkd as {name_of(arm)}, beside students that were distilled from a"


def _chosen(results: Results) -> str:
    """What select=best_arm has chosen by."""
    arm, by, found = (results.chosen[key] for key in ("arm", "by", "likelihoods"))
    if not by:
        return ""
    told = f" ({found[arm]:.3f} nats for a label)" if arm in found else ""
    return f"It is the arm `{arm}`: the best of its architecture by {by}{told}."


def _beaten(results: Results) -> str:
    """The arm that costs no more to use and does better on labelled examples that neither has
    learnt from, where there are enough of them; "" when none does."""
    arm, by, found = (results.chosen[key] for key in ("arm", "by", "likelihoods"))
    told = f"log-likelihood by {by}"
    merit: Callable[[float], float] = float
    metric, seed = results.metric, results.seeds("distilled")[0]
    n_validation = results.facts("target").get("examples", {}).get("validation", 0)
    if not by and n_validation >= SELECTS:
        told, merit = f"{metric.title} on {n_validation} validation examples", metric.merit
        name, asked = f"validation_{metric.name}", ("distilled", *results.controls)
        scores = {each: results.unseen.get((each, seed), {}) for each in asked}
        found = {each: of[name] for each, of in scores.items() if name in of}
    if arm not in found:
        return ""
    rivals = [each for each in no_dearer(results) if each in found]
    best = max(rivals, key=lambda each: merit(found[each]), default=arm)
    if merit(found[best]) <= merit(found[arm]):
        return ""
    return (
        f"**Another arm of no higher cost does better:** {name_of(best)}, with {told} "
        f"{found[best]:.3f} against {found[arm]:.3f}."
    )


def _parameters(results: Results) -> int:
    """Of the student: counted in the model where it was measured."""
    measured = results.efficiency.get("student", results.models["student"])
    return int(measured["parameters"])


def _listed(labels: list[str]) -> str:
    return ", ".join(f"`{printable(label).replace('`', '')}`" for label in labels)


def _total(facts: dict[str, dict[str, dict[str, int]]], part: str) -> int:
    return sum(facts["counts"][part].values())
