"""The arms of a run as a reader meets them: in which order, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctkd_cli.evaluation.arm_names import ON_TARGET, STILTS_DISTILLED

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results

NAMES = {
    "alone": "student alone",
    "distilled": "student distilled",
    STILTS_DISTILLED: "STILTs, then distilled",
    "stilts": "STILTs: source, then target",
    "probe": "probe on the teacher's features",
    "features": "probe on the untrained backbone",
    ON_TARGET: "teacher, through the bridge",
    "tfidf": "TF-IDF + logistic regression",
    "untuned": "untuned teacher + logistic reg.",
    "cut_body": "untuned student + logistic reg.",
    "static": "static vectors + logistic reg.",
    "setfit": "SetFit, the student's body",
    "setfit_teacher": "SetFit, the teacher's body",
}


def in_order_of_interest(results: Results) -> list[str]:
    """Distilled first, then without some source, then the controls, then teachers: on the target
    task, and on their own."""

    def rank(arm: str) -> int:
        groups = (
            ["distilled", STILTS_DISTILLED], results.without, results.controls, [ON_TARGET],
            results.teachers,
        )  # fmt: skip
        return next(place for place, arms in enumerate(groups) if arm in arms)

    return sorted(results.arms, key=rank)


def name_of(arm: str) -> str:
    """An arm's name in tables."""
    return NAMES.get(arm, arm.replace("_", " "))
