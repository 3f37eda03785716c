"""Names of arms that code asks for."""

WITHOUT = "without_"  # arms that left a source out
STILTS_DISTILLED = "stilts_distilled"  # no control: it has heard the teacher too
ON_TARGET = "teacher_on_target"  # what the teachers say of target test, through the bridge
