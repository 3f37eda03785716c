"""What the words of a report mean, a line each. docs/glossary.md holds the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctkd_cli.evaluation.arm_names import ON_TARGET, STILTS_DISTILLED, WITHOUT
from ctkd_cli.reports.arm_titles import in_order_of_interest, name_of

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results

TERMS = {
    "arm": "one way to get a model for the target task; all arms see the same labels and test set",
    "control": "an arm that asks where a gain comes from, or what one would take instead; gains "
    "are over the best of those that cost no more to use than the student",
    "bridge": "the matrix that carries the teacher's labels over to the target's; a label map",
    "gain": "how much better the distilled student is than the best control that costs no more to "
    "use; less than 0 is worse",
    "95% interval": "where the true value lies, in 95 of 100 such experiments",
    "accuracy": "the share of right answers",
    "NLL": "negative log-likelihood: nats by which the right label surprises the model; less is "
    "better",
    "Brier": "mean squared distance between probabilities and the right answer; less is better",
    "ECE": "expected calibration error: mean gap between how sure a model is and how often it is "
    "right; less is better",
    "NLL scaled": "NLL at the temperature that fits validation best",
    "ECE scaled": "ECE at the temperature that fits validation best",
    "temperature": "what logits are divided by to make probabilities honest; above 1: too sure",
    "agrees with teacher": "the share of answers that are the teacher's own, through the bridge",
    "KL from teacher": "how far the probabilities are from the teacher's, in nats; 0: the same",
    "LEEP gain": "nats per label that the teacher's answers save over knowing how common labels "
    "are, cross-validated",
    "95% null": "the LEEP gain that 95% of shuffled labels stay below: above it, it is no chance",
    "p": "of a hint: how often shuffled labels gain as much",
    "LogME": "log evidence of a Bayesian linear model on the teacher's features; more is better",
    "H-score": "how much of the features' variance the labels explain; more is better",
    "NCE": "negative conditional entropy of the labels given the teacher's answers, in nats; "
    "nearer 0 is better",
}
ARMS = {
    "distilled": "the student, taught by the labels and by the teacher through the bridge",
    "alone": "the student, taught by the labels alone",
    STILTS_DISTILLED: "the student, fine-tuned on the source first, then distilled",
    "stilts": "the student, fine-tuned on the source first, then on the labels (STILTs)",
    "generic_teacher": "distilled from the teacher's backbone without training on the source",
    "random_teacher": "distilled from a teacher with random weights",
    "shuffled_teacher": "distilled from the teacher's answers to other inputs",
    "label_smoothing": "the student alone, with soft labels and no teacher",
    "probe": "a linear classifier on the teacher's features, fitted on the labels; as large as the "
    "teacher",
    "features": "the same on the features of the teacher's backbone before it saw the source",
    "tfidf": "TF-IDF of words and pairs of words with a logistic regression, fitted on the labels",
    "untuned": "a logistic regression on the mean-pooled states of the teacher's untuned body; as "
    "large as the teacher",
    "cut_body": "the same on the student's own untuned body",
    "static": "the same on vectors of tokens that the student's encoder gave, without a network",
    "setfit": "the student's body, tuned on pairs of labelled texts, with a logistic regression "
    "(SetFit)",
    "setfit_teacher": "the same with the teacher's body; as large as the teacher",
    ON_TARGET: "the teacher itself, its labels carried over by the bridge; no training on the "
    "target",
}


def terms(results: Results) -> dict[str, str]:
    """What a report's words mean: the metric's and the arms' too."""
    metric = results.metric
    arms = {name_of(arm): of_arm(results, arm) for arm in in_order_of_interest(results)}
    found = TERMS | {metric.title: metric.meaning} | arms
    return {term: meaning for term, meaning in found.items() if meaning}


def of_arm(results: Results, arm: str) -> str:
    """What an arm is."""
    if arm in results.teachers:
        return "the teacher on its own task: it answers with the source's labels"
    if arm.startswith(WITHOUT):
        return f"distilled without what the source {arm.removeprefix(WITHOUT)} has taught"
    return ARMS.get(arm, "")
