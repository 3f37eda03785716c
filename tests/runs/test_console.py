"""What is shown while a run goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ctkd_cli.runs import console

TITLES = ["teacher", "knowledge", "evaluation teacher", "student alone", "student distilled"]
FIGURES = {"loss": 0.0412, "ce": 0.0312, "kd": 0.102, "lambda": 1.0}


def line_of(title: str, *others: str, width: int = 80) -> str:
    """The line of a student that trains, as a terminal of that width shows it."""
    display = console.LiveDisplay(list(dict.fromkeys([title, *others])))
    display.started(title, "32 inputs")
    display.progress(title, 37, 100, FIGURES)
    stream = io.StringIO()
    Console(file=stream, width=width).print(display._progress.get_renderable())
    (line,) = (each for each in stream.getvalue().splitlines() if title in each)
    return line.rstrip()


def test_all_figures_of_a_student_fit_in_80_columns() -> None:
    line = line_of("student distilled", *TITLES)
    assert line.endswith("loss 0.0412  CE 0.0312  KD 0.102  λ 1")
    assert len(line) <= 80


@pytest.mark.parametrize("width", range(40, 80))
def test_a_figure_without_room_is_left_out_and_never_cut(width: int) -> None:
    line = line_of("student distilled", *TITLES, width=width)
    assert len(line) <= width
    shown = line[line.index("loss") :] if "loss" in line else ""
    whole = ["loss 0.0412", "CE 0.0312", "KD 0.102", "λ 1"]
    assert shown.split("  ") in [whole[:n] for n in range(1, 5)] or len(shown) < len(whole[0])


def test_a_stage_shows_what_is_left_and_then_what_it_took() -> None:
    title = "student alone"
    display = console.LiveDisplay([title])
    display.started(title, "")
    stream = io.StringIO()
    display.done(title, 12.34, "", for_good=False)
    Console(file=stream, width=80).print(display._progress.get_renderable())
    assert "12.3 s" in stream.getvalue()
    display.started(title, "seed 2")
    stream = io.StringIO()
    Console(file=stream, width=80).print(display._progress.get_renderable())
    assert "12.3 s" not in stream.getvalue()


def test_lines_of_a_log_tell_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """20 steps of 100 in 20 seconds, after one that came with the stage: 79 seconds are left."""
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    display = console.PlainDisplay()
    display.started("student alone", "32 inputs")
    for step in range(1, 22):
        display.progress("student alone", step, 100, {"loss": 0.5})
        clock[0] += 1.0
    said = capsys.readouterr().err.splitlines()
    assert said == ["student alone: 32 inputs", "student alone: 17/100  loss 0.5  83 s left"]
