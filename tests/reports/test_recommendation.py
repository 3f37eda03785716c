"""Would I deploy it? The recommendation that leads report and card, on answers made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from teachers import counts
from test_reports import directory

from ctkd_cli.evaluation.results import Results
from ctkd_cli.evaluation.verdict import reach
from ctkd_cli.reports import write_reports
from ctkd_cli.reports.recommendation import recommend
from ctkd_cli.tasks.metric import MACRO_F1

__all__ = ["directory"]
N = 400
GOLD = np.arange(N) % 2
COST = {
    "teacher": {"throughput": 170.6, "megabytes": 90.0, "load": 1.94},
    "student": {"throughput": 403.2, "megabytes": 66.7, "load": 1.94},
}


def run(cost: dict[str, Any], **mistakes: int) -> Any:
    """What is asked of a run: each arm's mistakes with one seed. An even number of mistakes is
    shared evenly by two labels: macro-F1 = 1 - mistakes / N."""
    said = {arm: np.where(np.arange(N) < n, 1 - GOLD, GOLD)[None] for arm, n in mistakes.items()}
    return SimpleNamespace(
        arms=list(said),
        controls=[arm for arm in said if arm not in ("distilled", "teacher_on_target")],
        metric=MACRO_F1, several=False, groups=lambda: None, gold_rows=lambda: GOLD,
        predicted_rows=said.__getitem__, efficiency=cost,
        environment={"hardware": {"cores": 2}}, own_costs={}, chosen={"arm": "distilled", "by": ""},
        models={role: {"parameters": n} for role, n in (("teacher", 22.7e6), ("student", 17.4e6))},
        steps={},
        statistics=lambda arm: counts(GOLD, said[arm], 2),
        mean=lambda arm, metric: 1 - mistakes[arm] / N,
    )  # fmt: skip


def advice(results: Any) -> str:
    return recommend(results, reach(results))


def test_nearly_as_good_and_faster_is_deployed() -> None:
    found = advice(run(COST, alone=60, distilled=18, teacher_on_target=16))
    assert found == (
        "Deploy the student: macro-F1 0.955 at 403 examples/s, 67 MB; the best of the "
        "teacher's size: teacher, through the bridge (macro-F1 0.960 at 171 examples/s, 90 MB). "
        "Speeds: load average 1.9 on 2 cores."
    )


def test_a_teacher_that_is_much_better_is_recommended() -> None:
    """0.15 of loss: 60 of 400 answers."""
    found = advice(run(COST, alone=90, distilled=70, probe=10, teacher_on_target=30))
    assert found.startswith("Deploy the teacher where you can afford it: probe on the teacher's")
    assert "the student, macro-F1 0.825 at 403 examples/s, 67 MB, loses 0.150 (95%" in found
    as_fast = {model: {**figures, "throughput": 170.6} for model, figures in COST.items()}
    found = advice(run(as_fast, alone=90, distilled=70, probe=10))
    assert found.startswith("Deploy the teacher: probe")


def test_a_teacher_that_seems_much_better_leaves_it_open() -> None:
    """0.07 of loss, by a test that cannot tell it from 0: a student is not deployed on that."""
    results = run(COST, alone=200, distilled=200, teacher_on_target=172)
    whole = results.statistics
    results.statistics = lambda arm: whole(arm)[:, ::13]
    found = advice(results)
    assert found.startswith("Undecided between student and teacher. The student: macro-F1 0.500")
    low, high = (float(end) for end in re.findall(r"interval (\S+) to (\S+)\)", found)[0])
    assert low <= 0.02 < high


@pytest.mark.parametrize("rival", ["alone", "stilts", "label_smoothing"])
def test_what_costs_as_much_and_is_better_is_no_student_to_deploy(rival: str) -> None:
    found = advice(run(COST, **{"alone": 60, rival: 10}, distilled=60, teacher_on_target=0))
    assert found.startswith("Do not deploy this student, macro-F1 0.850")
    assert "has 0.975." in found


def test_a_probe_that_is_better_is_as_large_as_the_teacher_and_forbids_nothing() -> None:
    assert advice(run(COST, alone=60, distilled=18, probe=12)).startswith("Deploy the student")


def test_a_busy_machine_is_told() -> None:
    busy = {model: {**figures, "load": 3.9} for model, figures in COST.items()}
    assert "load average 3.9 on 2 cores; a busy machine, measure again" in advice(
        run(busy, alone=60, distilled=18)
    )


def test_what_was_not_measured_is_not_told() -> None:
    found = advice(run({}, alone=60, distilled=18, teacher_on_target=16))
    assert "examples/s" not in found
    assert "load" not in found
    old = {m: {k: v for k, v in figures.items() if k != "load"} for m, figures in COST.items()}
    assert "load" not in advice(run(old, alone=60, distilled=18))


def test_where_less_is_better() -> None:
    """As if macro-F1 were an error: the fewer right, the better."""
    results = run(COST, alone=300, distilled=200, teacher_on_target=20)
    results.metric = replace(MACRO_F1, higher_is_better=False)
    assert advice(results).startswith("Do not deploy this student")
    results = run(COST, alone=100, distilled=300, teacher_on_target=390)
    results.metric = replace(MACRO_F1, higher_is_better=False)
    assert "loses 0.225 (95%" in advice(results)  # 90 of 400


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_it_leads_report_page_and_card(directory: Path) -> None:
    """Beside the verdict, before anything else."""
    write_reports(directory)
    results = Results.read(directory)
    verdict = reach(results)
    found = recommend(results, verdict)
    lead = " ".join((directory / "report.txt").read_text().partition("source task:")[0].split())
    assert lead.endswith(f"{verdict.sentence} {verdict.caution} {found}")
    card = (directory / "student" / "README.md").read_text()
    assert card.partition("\n# ")[2].split("\n")[2] == found
    page = (directory / "report.html").read_text()
    assert page.index(found) < page.index("<h2>")
