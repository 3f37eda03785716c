"""Every word of a report's tables is explained, in the page and in the docs."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
import yaml
from test_reports import directory

from ctkd_cli.distillation.transfer import COLUMNS
from ctkd_cli.evaluation.results import Results
from ctkd_cli.reports import write_reports
from ctkd_cli.reports.glossary import ARMS, TERMS, of_arm, terms
from ctkd_cli.reports.html import CONFIDENCE
from ctkd_cli.tasks.entities import ENTITY_F1
from ctkd_cli.tasks.metric import MACRO_F1

__all__ = ["directory"]
ROOT = Path(__file__).parents[2]
WORDS = ("arm", "bridge", "accuracy", *COLUMNS.values(), *CONFIDENCE.values())


def test_every_title_has_a_line() -> None:
    assert {word for word in WORDS if not TERMS.get(word)} == set()


def test_every_control_has_a_line() -> None:
    full = yaml.safe_load((ROOT / "configs" / "controls" / "full.yaml").read_text())
    assert {arm for arm in full["arms"] if not ARMS.get(arm)} == set()


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_the_page_explains_its_words(directory: Path) -> None:
    write_reports(directory)
    page = (directory / "report.html").read_text()
    tips = {
        html.unescape(a): html.unescape(b)
        for b, a in re.findall(r'<abbr title="(.*?)">(.*?)<', page)
    }
    assert tips["NLL"] == TERMS["NLL"]
    assert tips["macro-F1"] == MACRO_F1.meaning
    assert tips["student alone"] == ARMS["alone"]
    results = Results.read(directory)
    assert tips["teacher"] == of_arm(results, "teacher")
    part = page.partition("<summary>Glossary</summary>")[2].partition("</dl>")[0]
    listed = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", part))
    assert {t: html.unescape(listed[t]) for t in terms(results)} == terms(results)


def test_the_docs_hold_the_same() -> None:
    rows = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    found = dict(line.strip("| ").split(" | ") for line in rows if line.startswith("| "))
    metrics = {metric.title: metric.meaning for metric in (MACRO_F1, ENTITY_F1)}
    arms = {f"`{arm}`": meaning for arm, meaning in ARMS.items()}
    del found["word"], found["arm's name"]
    assert found == TERMS | metrics | arms
