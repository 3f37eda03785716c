"""Names of arms that code asks for."""

from typing import Literal

WITHOUT = "without_"  # arms that left a source out
STILTS_DISTILLED = "stilts_distilled"  # no control: it has heard the teacher too
ON_TARGET = "teacher_on_target"  # what the teachers say of target test, through the bridge

ControlName = Literal[
    "stilts",
    "stilts_distilled",
    "generic_teacher",
    "random_teacher",
    "shuffled_teacher",
    "label_smoothing",
    "probe",
    "features",
]
RivalName = Literal["tfidf", "untuned", "cut_body", "static", "setfit", "setfit_teacher"]
QUICK: tuple[RivalName, ...] = ("tfidf", "untuned", "cut_body")  # rivals that cost seconds

# Arms that cost what the teacher costs. All others have the student's architecture, but for those
# whose own cost a run has noted.
AS_TEACHER = ("untuned", "setfit_teacher", "probe", "features", ON_TARGET)
