"""report.html in a real browser: it renders, sorts, filters and prints, and asks the network for
nothing. Skipped where no Chromium is installed; CI installs one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_reports import directory  # noqa: F401

from ctkd_cli.reports import write_reports

SIZES = {"phone": (390, 844), "laptop": (1366, 768)}


@pytest.fixture
def opened(open_page: Callable[[Path], Any], directory: Path) -> Any:  # noqa: F811
    """The page of a run with hostile texts."""
    write_reports(directory)
    return open_page(directory / "report.html")


def errors(page: Any) -> list[list[str]]:
    """The cells of the error table's visible rows."""
    rows = page.locator("#errors tbody tr:visible").all()
    return [row.locator("td").all_inner_texts() for row in rows]


@pytest.mark.parametrize("directory", [[1, 2, 3]], indirect=True)
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_the_screen(opened: Any, size: str) -> None:
    width, height = SIZES[size]
    opened.set_viewport_size({"width": width, "height": height})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    verdict = opened.locator(".verdict")
    assert verdict.is_visible()
    box = verdict.bounding_box()
    assert box["y"] + box["height"] < height  # seen without scrolling
    pictures = opened.locator("figure img").all()
    assert len(pictures) == 4
    assert all(picture.evaluate("image => image.naturalWidth") > 0 for picture in pictures)


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_errors_can_be_sorted(opened: Any) -> None:
    titles = opened.locator("#errors th").all_inner_texts()
    gold = next(n for n, title in enumerate(titles) if title.startswith("gold"))
    button = opened.locator("#errors th button").nth(gold)
    before = [row[gold] for row in errors(opened)]
    assert len(set(before)) > 1
    button.click()
    up = [row[gold] for row in errors(opened)]
    assert sorted(up) == sorted(before)
    blocks = [label for n, label in enumerate(up) if n == 0 or label != up[n - 1]]
    assert len(blocks) == len(set(up))  # the same labels stand together
    button.click()
    down = [row[gold] for row in errors(opened)]
    assert [label for n, label in enumerate(down) if n == 0 or label != down[n - 1]] == blocks[::-1]
    assert "descending" in opened.locator("#errors th").nth(gold).get_attribute("aria-sort")


@pytest.mark.parametrize("directory", [[1]], indirect=True)
def test_errors_can_be_filtered(opened: Any) -> None:
    everything = errors(opened)
    opened.locator("#filter").fill("EMOJI")
    found = errors(opened)
    assert 0 < len(found) < len(everything)
    assert all("emoji" in " ".join(row) for row in found)
    opened.locator("#filter").fill("no such text")
    assert errors(opened) == []
    opened.locator("#filter").fill("")
    assert errors(opened) == everything


@pytest.mark.parametrize("directory", [[5]], indirect=True)  # a seed that errs on most of them
def test_hostile_texts_are_shown_as_they_are(opened: Any) -> None:
    texts = [row[0] for row in errors(opened)]
    assert any("<script>alert(1)</script>" in text for text in texts)
    assert any("{{ 7 * 7 }}" in text for text in texts)
    assert opened.locator("#errors img, #errors script").count() == 0
    tallest = max(box.bounding_box()["height"] for box in opened.locator("#errors td.input").all())
    assert tallest < 250  # a text of 2,000 letters scrolls in its cell


@pytest.mark.parametrize("directory", [[1, 2, 3]], indirect=True)
def test_dark_light_and_print(opened: Any) -> None:
    def background() -> tuple[int, ...]:
        shade = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        return tuple(map(int, re.findall(r"\d+", shade)[:3]))

    opened.emulate_media(color_scheme="light")
    assert min(background()) > 200
    opened.emulate_media(color_scheme="dark")
    assert max(background()) < 60
    opened.emulate_media(media="print", color_scheme="dark")
    assert background() == (255, 255, 255)
    assert not opened.locator("#filter").is_visible()
    assert opened.pdf(format="A4").startswith(b"%PDF")
