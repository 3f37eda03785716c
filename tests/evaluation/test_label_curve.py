"""Labels saved, worked out by hand."""

from __future__ import annotations

import math

import pytest

from ctkd_cli.evaluation.label_curve import labels_saved, needed


def test_between_two_points_labels_are_read_off_a_logarithmic_axis() -> None:
    # Half of the way from .6 to .8 lies at sqrt(4 * 16) = 8 labels.
    assert needed([4, 16], [0.6, 0.8], 0.7) == pytest.approx(8)
    assert needed([4, 16], [0.6, 0.8], 0.8) == pytest.approx(16)


def test_a_curve_that_is_there_from_the_start_or_never() -> None:
    assert needed([4, 16], [0.6, 0.8], 0.5) == 4
    assert needed([4, 16], [0.6, 0.8], 0.9) == math.inf


def test_where_a_curve_turns_back_the_first_time_counts() -> None:
    assert needed([4, 16, 64], [0.6, 0.9, 0.7], 0.9) == pytest.approx(16)


def test_each_point_but_the_last_has_an_answer() -> None:
    labels = [4, 16, 64]
    alone = {1: [0.5, 0.7, 0.9], 2: [0.5, 0.7, 0.9]}
    distilled = {1: [0.8, 0.95, 0.9], 2: [0.8, 0.95, 0.9]}
    first, second = labels_saved(labels, alone, distilled)
    # .8 lies half-way between .7 and .9: sqrt(16 * 64) = 32 labels, eight times as many as 4.
    assert (first.labels, first.score) == (4, pytest.approx(0.8))
    assert first.needed == pytest.approx(32)
    assert first.factor == pytest.approx(8)
    assert (first.low, first.high) == (pytest.approx(32), pytest.approx(32))  # seeds agree
    assert second.needed == math.inf


def test_the_interval_covers_seeds_that_differ() -> None:
    """Distilled .7 in both seeds; alone, one seed gets there with 4 labels and one with 16."""
    alone = {1: [0.7, 0.9], 2: [0.5, 0.7]}
    (found,) = labels_saved([4, 16], alone, {1: [0.7, 0.9], 2: [0.7, 0.9]})
    # the mean of both: .6 and .8, so half-way
    assert (found.low, found.needed, found.high) == (4, pytest.approx(8), pytest.approx(16))


def test_one_seed_has_no_interval() -> None:
    (found,) = labels_saved([4, 16], {1: [0.5, 0.9]}, {1: [0.7, 0.9]})
    assert found.needed == pytest.approx(8)
    assert math.isnan(found.low)
