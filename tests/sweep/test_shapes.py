"""Curves, grids and lines of sweeps made by hand, their figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import job, scored

from ctkd_cli.reports import sweep_plots
from ctkd_cli.sweep import shapes
from ctkd_cli.sweep.directory import Sweep
from ctkd_cli.tasks.metric import MACRO_F1


def four(folder: Path, validated: bool = True) -> Sweep:
    """Two losses by three lambdas, two seeds each. Test of kl: .5 .6 .7, of hint: .8 .6 .4, seeds
    .02 apart; validation prefers kl with lambda 1."""
    tests = {"kl": (0.5, 0.6, 0.7), "hint": (0.8, 0.6, 0.4)}
    number = 0
    for loss, scores in tests.items():
        for value, score in zip(("1", "0.1", "10"), (scores[1], scores[0], scores[2]), strict=True):
            validation = 0.9 if (loss, value) == ("kl", "1") else 0.5
            for seed, more in ((1, -0.01), (2, 0.01)):
                typed = [f"loss={loss}", f"lambda={value}", f"seed={seed}"]
                scored(
                    folder, number, typed, [0.4], [score + more],
                    validation=validation if validated else None, seed=seed,
                )  # fmt: skip
                number += 1
    return Sweep(folder)


def test_a_curve_takes_the_other_keys_as_validation_chose_them(tmp_path: Path) -> None:
    (found,) = shapes.curves(four(tmp_path))  # loss is no number
    assert (found.axis, found.at) == ("lambda", (0.1, 1.0, 10.0))
    assert found.scores["distilled"][1] == pytest.approx([0.49, 0.59, 0.69])
    assert found.scores["distilled"][2] == pytest.approx([0.51, 0.61, 0.71])
    assert found.scores["alone"] == {1: [0.4] * 3, 2: [0.4] * 3}
    assert found.others == "loss=kl, as chosen by validation"


def test_without_a_choice_it_is_the_mean_over_them(tmp_path: Path) -> None:
    (found,) = shapes.curves(four(tmp_path, validated=False))
    assert found.scores["distilled"][1] == pytest.approx([0.64, 0.59, 0.54])
    assert found.others == "means over the other settings"


def test_the_picture_has_the_intervals_over_seeds(tmp_path: Path) -> None:
    """.49 and .51: mean .5, half of the interval t(.975, 1) * .01 = .127."""
    (found,) = shapes.curves(four(tmp_path))
    (axes,) = sweep_plots.curve(found, MACRO_F1).axes
    distilled = next(line for line in axes.lines if line.get_label() == "student distilled")
    np.testing.assert_allclose(distilled.get_ydata(), [0.5, 0.6, 0.7])
    band = axes.collections[1].get_paths()[0].vertices
    at_first = band[np.isclose(band[:, 0], 0.1), 1]
    assert at_first.min() == pytest.approx(0.5 - 12.706 * 0.01, abs=1e-4)
    assert at_first.max() == pytest.approx(0.5 + 12.706 * 0.01, abs=1e-4)


def test_every_number_has_a_curve(tmp_path: Path) -> None:
    for number, (a, b) in enumerate([(0, 5), (0, 6), (1, 5), (1, 6)]):
        scored(tmp_path, number, [f"lambda={a}", f"training.steps={b}"], [0.4], [0.5 + a / 10])
    curves = shapes.curves(Sweep(tmp_path))
    assert [curve.axis for curve in curves] == ["lambda", "training.steps"]
    assert curves[0].scores["distilled"] == {1: pytest.approx([0.5, 0.6])}
    assert curves[1].scores["distilled"] == {1: pytest.approx([0.55, 0.55])}


def test_only_seeds_that_all_have_are_compared(tmp_path: Path) -> None:
    scored(tmp_path, 0, ["lambda=0"], [0.5, 0.6], [0.6, 0.7])
    scored(tmp_path, 1, ["lambda=1"], [0.5], [0.8])
    (found,) = shapes.curves(Sweep(tmp_path))
    assert found.scores["distilled"] == {1: [0.6, 0.8]}


def test_cells_of_the_grid(tmp_path: Path) -> None:
    grid = shapes.grid(four(tmp_path))
    assert grid is not None
    assert grid.keys == ("loss", "lambda")
    assert (grid.rows, grid.columns) == (("kl", "hint"), ("0.1", "1", "10"))
    np.testing.assert_allclose(grid.cells, [[0.5, 0.6, 0.7], [0.8, 0.6, 0.4]])
    assert grid.chosen == (0, 1)
    (axes,) = sweep_plots.grid(grid).axes
    assert [text.get_text() for text in axes.texts] == [
        "0.500", "0.600", "0.700", "0.800", "0.600", "0.400"
    ]  # fmt: skip
    (frame,) = axes.patches
    assert frame.get_xy() == pytest.approx((0.52, -0.47))


def test_what_was_not_run_is_an_empty_cell(tmp_path: Path) -> None:
    for number, typed in enumerate((["a=x", "b=1"], ["a=x", "b=2"], ["a=y", "b=1"])):
        job(tmp_path, number, typed, (0.5, 0.6))
    job(tmp_path, 3, ["a=y", "b=2"], None)
    grid = shapes.grid(Sweep(tmp_path))
    assert grid is not None
    assert np.isnan(grid.cells).tolist() == [[False, False], [False, True]]
    assert grid.chosen is None
    (axes,) = sweep_plots.grid(grid).axes
    assert [text.get_text() for text in axes.texts] == ["0.600", "0.600", "0.600", "–"]


@pytest.mark.parametrize("keys", [1, 3])
def test_a_grid_has_two_keys(tmp_path: Path, keys: int) -> None:
    for number in range(3):
        job(tmp_path, number, [f"k{key}={number}" for key in range(keys)], (0.5, 0.6))
    assert shapes.grid(Sweep(tmp_path)) is None
    assert (shapes.lines(Sweep(tmp_path)) is None) == (keys == 1)


def test_axes_of_parallel_coordinates(tmp_path: Path) -> None:
    """lambda .01 .1 1 by its logarithm, steps 10 20 30 as they are, loss evenly."""
    for number, (loss, value, steps, score) in enumerate(
        [("kl", "0.01", 10, 0.5), ("hint", "1", 20, 0.7), ("sp", "0.1", 30, 0.6)]
    ):
        typed = [f"loss={loss}", f"lambda={value}", f"steps={steps}"]
        job(tmp_path, number, typed, (0.5, score), validation=0.8 - number / 10)
    found = shapes.lines(Sweep(tmp_path))
    assert found is not None
    titles = [axis.title for axis in found.axes]
    assert titles == ["loss", "lambda", "steps", "macro-F1, validation", "macro-F1, test"]
    places = [axis.at for axis in found.axes]
    expected = [(0, 0.5, 1), (0, 1, 0.5), (0, 0.5, 1), (1, 0.5, 0), (0, 1, 0.5)]
    assert places == [pytest.approx(each) for each in expected]
    assert found.axes[1].ticks == (
        (0, "0.01"), (pytest.approx(0.5), "0.1"), (pytest.approx(1), "1")
    )  # fmt: skip
    assert found.scores == pytest.approx((0.8, 0.7, 0.6))
    assert (found.scored, found.chosen) == ("validation", 0)
    axes = sweep_plots.lines(found, MACRO_F1).axes[0]
    chosen = next(line for line in axes.lines if line.get_label() == "chosen")
    assert list(chosen.get_ydata()) == pytest.approx([0, 0, 0, 1, 0])
    assert len(axes.lines) == 3 + 1 + 5  # groups, the chosen one once more, axes


def test_lines_through_one_value_are_fanned_out_by_their_score(tmp_path: Path) -> None:
    for number, score in enumerate((0.7, 0.5, 0.6)):
        typed = [f"a={'x' if number < 3 else 'y'}", f"b={number}", f"c={number % 2}", f"d={number}"]
        job(tmp_path, number, typed, (0.5, score))
    found = shapes.lines(Sweep(tmp_path))
    assert found is not None
    drawn = sweep_plots.lines(found, MACRO_F1).axes[0].lines[:3]  # the worst first
    heights = [line.get_ydata()[1] for line in drawn]  # of c: 1, 0, 0
    assert heights == pytest.approx([1, -0.025, 0.025])
    less = replace(MACRO_F1, higher_is_better=False)
    drawn = sweep_plots.lines(found, less).axes[0].lines[:3]  # the worst, 0.7, is the first
    assert [line.get_ydata()[1] for line in drawn] == pytest.approx([-0.025, 0.025, 1])


@pytest.mark.parametrize("values", [("1", "1.0", "2"), ("", "a", "b")])
def test_values_that_are_the_same_number_and_empty_ones(
    tmp_path: Path, values: tuple[str, ...]
) -> None:
    for number, value in enumerate(values):
        job(tmp_path, number, [f"a={value}", f"b={number}", f"c={value}"], (0.5, 0.6))
    sweep = Sweep(tmp_path)
    lines = shapes.lines(sweep)
    assert lines is not None
    sweep_plots.lines(lines, MACRO_F1)
