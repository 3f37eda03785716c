"""Pictures of a sweep, as matplotlib figures: what shapes.py found, drawn."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from ctkd_cli.evaluation.significance import t_interval
from ctkd_cli.reports.arm_titles import name_of
from ctkd_cli.reports.plots import STYLE, canvas, colour, heat_map, heat_size, short
from ctkd_cli.sweep.shapes import is_wide

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ctkd_cli.sweep.shapes import Axis, Curve, Grid, Lines
    from ctkd_cli.tasks.metric import Metric

NEXT_TICK = 1.25  # the least factor between two ticks on a logarithmic axis
SCALE = "viridis"
CHOSEN = "#D55E00"
TITLE = 48  # letters of a key beside its axis
FAN = 0.05  # over which lines through the same value are spread, in parts of an axis
READABLE = 60  # lines that can be drawn in full strength


def curve(found: Curve, metric: Metric) -> Figure:
    """Scores of the student alone and distilled over one setting, with t-intervals."""
    with mpl.rc_context(STYLE):
        figure, axes = canvas(6.4, 4.0)
        for arm, seeds in found.scores.items():
            spread = [t_interval(values) for values in zip(*seeds.values(), strict=True)]
            shade = colour(arm, list(found.scores))
            axes.plot(
                found.at, [each.estimate for each in spread], "o-", color=shade, lw=1.8,
                label=name_of(arm),
            )  # fmt: skip
            if len(seeds) > 1:
                low, high = [each.low for each in spread], [each.high for each in spread]
                axes.fill_between(found.at, low, high, color=shade, alpha=0.15, lw=0)
        if found.saved or is_wide(found.at):
            axes.set_xscale("log", base=2)
            apart = [
                at for at, after in pairwise((*found.at, np.inf)) if after > NEXT_TICK * at
            ]  # the last of those that stand too close
            axes.set_xticks(apart, [f"{value:.4g}" for value in apart])
            axes.minorticks_off()
        title = "labels spent per class" if found.saved else short(found.axis, TITLE)
        least, most = metric.bounds
        span = most - least
        lowest = min(np.min(np.asarray(line.get_ydata(), float)) for line in axes.lines)
        axes.set(
            title=f"{metric.title[0].upper()}{metric.title[1:]} on target test", xlabel=title,
            ylim=(max(least, lowest - 0.12 * span), min(most + 0.02 * span, axes.get_ylim()[1])),
        )  # fmt: skip
        axes.grid(axis="y", alpha=0.25)
        axes.legend(frameon=False, loc="lower right")
        return figure


def grid(found: Grid) -> Figure:
    """The distilled student's score over two keys; the chosen cell is framed."""
    cells = [["–" if np.isnan(v) else f"{v:.3f}" for v in row] for row in found.cells]
    with mpl.rc_context(STYLE):
        figure, axes = canvas(*heat_size(found.rows, found.columns))
        span = float(np.nanmin(found.cells)), float(np.nanmax(found.cells))
        heat_map(axes, found.cells, found.rows, found.columns, cells, span)
        if found.chosen is not None:
            row, column = found.chosen
            frame = Rectangle(
                (column - 0.48, row - 0.47), 0.96, 0.94, fill=False, ec=CHOSEN, lw=2.5
            )
            axes.add_patch(frame)
        down, across = (short(key, TITLE) for key in found.keys)
        axes.set(title="Distilled on target test", xlabel=across, ylabel=down)
        return figure


def lines(found: Lines, metric: Metric) -> Figure:
    """Parallel coordinates: a line per group, the best ones drawn last."""
    n = len(found.axes)
    with mpl.rc_context(STYLE):
        figure, axes = canvas(min(12.0, 2.0 + 1.5 * n), 5.0)
        scale = SCALE if metric.higher_is_better else f"{SCALE}_r"  # the best are the brightest
        shades = ScalarMappable(Normalize(min(found.scores), max(found.scores)), scale)
        order = np.argsort([metric.merit(score) for score in found.scores], kind="stable")
        heights = np.column_stack([_fanned(axis, order) for axis in found.axes])
        faint = min(0.85, READABLE / len(order))
        for row in order:
            axes.plot(
                range(n), heights[row], color=shades.to_rgba(found.scores[row]), lw=1.4,
                alpha=max(0.35, faint), solid_joinstyle="round",
            )  # fmt: skip
        if found.chosen is not None:
            axes.plot(range(n), heights[found.chosen], color=CHOSEN, lw=2.6, label="chosen")
            axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0))
        for place, axis in enumerate(found.axes):
            axes.axvline(place, color="#444444", lw=0.8, zorder=1)
            for height, text in axis.ticks:
                axes.annotate(
                    short(text), (place, height), xytext=(4, 0), textcoords="offset points",
                    va="center", fontsize=8, zorder=5,
                    bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
                )  # fmt: skip
        axes.set_xticks(range(n), [_folded(axis.title) for axis in found.axes], fontsize=9)
        axes.set(xlim=(-0.15, n - 0.5), ylim=(-0.09, 1.09), yticks=[])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(shades, ax=axes, pad=0.02, fraction=0.04)
        bar.set_label(f"{metric.title}, {found.scored}")
        bar.outline.set_visible(False)
        return figure


def _fanned(axis: Axis, order: np.ndarray) -> np.ndarray:
    """Each group's height on an axis; where groups share a value they are spread a little, the
    better above the worse. order: [G], the worst first."""
    heights = np.array(axis.at)
    if axis.few:
        for value in np.unique(heights):
            rows = [row for row in order if axis.at[row] == value]
            heights[rows] += np.linspace(-FAN / 2, FAN / 2, len(rows)) if len(rows) > 1 else 0.0
    return heights


def _folded(title: str) -> str:
    """A title below an axis, a part of a long key on each line."""
    parts = title.replace(".", ".\n") if len(title) > 12 else title
    return "\n".join(short(part) for part in parts.replace(", ", ",\n").split("\n"))
