"""sweep.html in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import asked, job, scored

from ctkd_cli.reports.sweep_summary import summarise


@pytest.fixture
def page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], open_page: Callable[[Path], Any]
) -> Any:
    """30 settings of three keys with five seeds each, two failed jobs with long reasons."""
    grid = [(loss, power, rate) for loss in ("kl", "hint") for power in range(5)
            for rate in ("1e-5", "1e-4", "1e-3")]  # fmt: skip
    jobs = []
    for number, (loss, power, rate) in enumerate(grid):
        for seed in range(1, 6):
            rest = [f"lambda={10**-power}", f"teacher.training.learning_rate={rate}"]
            jobs.append([f"loss={loss}", *rest, f"seed={seed}"])
            score = 0.5 + ((number * 7) % 30) / 100 + seed / 1000
            scored(
                tmp_path, len(jobs) - 1, jobs[-1], [0.6], [score], validation=score, seed=seed
            )  # fmt: skip
    for number in range(2):
        job(tmp_path, len(jobs), ["name=x"], None, reason=f"<b>{number}" + 500 * "x" + "\nline")
        jobs.append(["name=x"])
    asked(tmp_path, jobs, ["lambda=1,2"])
    summarise(tmp_path)
    capsys.readouterr()
    return open_page(tmp_path / "sweep.html")


@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_the_screen(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator(".verdict").bounding_box()
    assert box["y"] + box["height"] < 800
    assert page.locator(".verdict").inner_text().startswith("Chosen by validation among 30")
    pictures = page.locator("figure img").all()
    assert len(pictures) == 3
    assert all(picture.evaluate("image => image.naturalWidth") > 0 for picture in pictures)


def test_the_links_of_many_runs_are_folded(page: Any) -> None:
    assert page.locator("#settings a").count() == 150
    assert page.locator("#settings a:visible").count() == 0
    page.locator("#settings summary").first.click()
    assert page.locator("#settings a:visible").count() == 5


def test_the_best_on_validation_come_first_and_columns_can_be_sorted(page: Any) -> None:
    def column(number: int) -> list[float]:
        cells = page.locator(f"#settings tbody td:nth-child({number})").all_inner_texts()
        return [float(cell.split()[0]) for cell in cells]

    assert column(3) == sorted(column(3), reverse=True)
    gain = page.locator("#settings th button").nth(5)
    gain.click()
    rising = column(6)
    assert rising == sorted(rising)
    assert rising[0] < 0 < rising[-1]
    gain.click()
    assert column(6) == rising[::-1]
