"""report.html: one self-contained page, verdict first."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from sklearn.metrics import precision_recall_fscore_support

from ctkd_cli.distillation import transfer
from ctkd_cli.evaluation.significance import Interval, t_interval
from ctkd_cli.reports import glossary, plots
from ctkd_cli.reports.arm_titles import in_order_of_interest, name_of
from ctkd_cli.reports.findings import brought, conflicts, hint_judged, ledger, on_top_of_stilts
from ctkd_cli.reports.recommendation import load_told
from ctkd_cli.reports.terminal import best_arms, columns_of
from ctkd_cli.runs.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.evaluation.verdict import Verdict
    from ctkd_cli.tasks.metric import Metric

CAPTIONS = {
    "confusion": "Confusion matrix of the distilled student, rows as shares, numbers as counts",
    "label_map": "How source labels were carried over to target labels",
    "curves": "Loss over optimiser steps",
    "reliability": "Confidence against accuracy; on the diagonal a model knows what it knows",
}
UNITS = {"accuracy", "ece"}  # between 0 and 1
CONFIDENCE = {  # of the students, beside the scores of all arms
    "nll": "NLL", "nll_scaled": "NLL scaled", "brier": "Brier", "ece": "ECE",
    "ece_scaled": "ECE scaled", "temperature": "temperature",
    "teacher_agreement": "agrees with teacher", "teacher_kl": "KL from teacher",
}  # fmt: skip


def render(results: Results, verdict: Verdict, advice: str, pictures: Mapping[str, Figure]) -> str:
    """The page as text. Everything that comes from data is escaped by the template engine. advice:
    of recommend."""
    target = results.facts("target")
    gold = results.gold_rows()
    several, seeds = results.several, results.seeds("distilled")
    confident = _confident(results)
    return (
        environment()
        .get_template("report.html")
        .render(
            name=results.config["name"],
            verdict=verdict,
            advice=advice,
            tasks=results.tasks,
            title_of=results.titles,
            target=target,
            spent={part: sum(target["counts"][part].values()) for part in ("train", "validation")},
            vocabulary=results.vocabulary,
            config=results.config,
            columns=columns_of(results),
            best=best_arms(results),
            metric=results.metric,
            several=several,
            kinds=[kind for _, kind in results.kind("distilled").parts(target["labels"])],
            arms=[_arm(results, arm) for arm in in_order_of_interest(results)],
            seeds=seeds,
            each_seed=_each_seed(results),
            confidence={
                n: t for n, t in CONFIDENCE.items() if any(n in f for f in confident.values())
            },
            confident=confident,
            cost=results.efficiency,
            load=load_told(results.efficiency, results.environment["hardware"]["cores"]),
            glossary=glossary.terms(results),
            control=name_of(verdict.control),
            labels=_per_label(results, verdict.control),
            pictures={
                name: {"uri": data_uri(figure), "caption": CAPTIONS[name]}
                for name, figure in pictures.items()
            },
            ledger=ledger(results),
            conflicts=conflicts(results),
            padding=_padding(results),
            sources=_sources(results),
            scores=transfer.COLUMNS,
            judged=hint_judged(results),
            stilts=on_top_of_stilts(results),
            errors=list(results.worst_errors(verdict.control)),
            n_errors=len(
                results.answers("distilled", results.seeds("distilled")[0]).worst(len(gold))
            ),
            n_test=len(results.ids()),
            n_positions=len(gold),
            command=results.command(*results.overrides),
            models=results.models,
            environment=results.environment,
            started=results.events[0]["time"],
            seconds=results.seconds(),
        )
    )


def _padding(results: Results) -> float | None:
    """The share in the distilled student's batches; None in runs that did not note it."""
    noted = all("padding_share" in each for each in results.scores["distilled"].values())
    return results.mean("distilled", "padding_share") if noted else None


@cache
def environment() -> jinja2.Environment:
    """Templates in which all that is not ours is escaped."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("ctkd_cli.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"plain": _visible, "number": "{:,}".format, "explained": _explained}
    return found


def _arm(results: Results, arm: str) -> dict[str, Any]:
    """A row of the table of arms: each score with its spread over seeds."""
    every = results.scores[arm].values()
    scores = {
        name: _possible(results.metric, name, t_interval([values[name] for values in every]))
        if all(name in values for values in every)
        else None
        for name in columns_of(results)
    }
    return {
        "arm": arm,
        "name": name_of(arm),
        "own_task": arm in results.teachers,
        "scores": scores,
        "n_seeds": len(results.seeds(arm)),
    }


def _each_seed(results: Results) -> dict[str, list[float]]:
    """What the target task is judged by, of every arm by its name, seed by seed."""
    name = results.metric.name
    seeds = results.seeds("distilled")
    return {
        name_of(arm): [results.scores[arm][seed][name] for seed in seeds]
        for arm in in_order_of_interest(results)
        if arm not in results.teachers
    }


def _confident(results: Results) -> dict[str, dict[str, float]]:
    """How far each arm can be believed and follows the teacher, means over seeds; a figure that
    was not measured is absent."""
    return {
        name_of(arm): {
            figure: results.mean(arm, figure)
            for figure in CONFIDENCE
            if all(figure in scores for scores in results.scores[arm].values())
        }
        for arm in in_order_of_interest(results)
    }


def _sources(results: Results) -> list[dict[str, Any]]:
    """What each teacher promised and, where there are several, had of lambda and brought."""
    gains, hints = brought(results), results.hints
    names = [*sorted(hints, key=lambda name: -hints[name].leep_gain), *(gains.keys() - hints)]
    return [
        {
            "name": name,
            "hint": hints.get(name),
            "share": results.shares.get(name),
            "gain": gains.get(name),
        }
        for name in names
    ]


def _possible(metric: Metric, name: str, interval: Interval) -> Interval:
    """The part of an interval that a score can take: t knows of no ends."""
    low, high = metric.bounds if name == metric.name else (0.0, 1.0 if name in UNITS else np.inf)
    return replace(interval, low=max(low, interval.low), high=min(high, interval.high))


def _per_label(results: Results, control: str) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each target label, distilled beside a control, means over
    seeds."""
    labels = results.labels("distilled")
    gold = results.gold_rows()
    figures = {
        name: np.mean(
            [
                precision_recall_fscore_support(
                    gold, predicted, labels=range(len(labels)), zero_division=0
                )
                for predicted in results.predicted_rows(arm)
            ],
            axis=0,
        )
        for name, arm in (("distilled", "distilled"), ("control", control))
    }
    return [
        {
            "label": label,
            "support": int(figures["distilled"][3][index]),
            **{
                arm: dict(zip(("precision", "recall", "f1"), values[:3, index], strict=True))
                for arm, values in figures.items()
            },
        }
        for index, label in enumerate(labels)
    ]


def data_uri(figure: Any) -> str:
    """A figure as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(plots.svg(figure).encode()).decode()


def _explained(word: str, meanings: Mapping[str, str]) -> Markup:
    """A word with what it means, as a tooltip; as it is where the glossary does not have it."""
    if word not in meanings:
        return escape(word)
    return Markup('<abbr title="{}">{}</abbr>').format(meanings[word], word)


def _visible(text: str) -> str:
    """Text of the data's as it is, its control characters made visible; lines are kept."""
    return "\n".join(printable(line) for line in text.splitlines())
