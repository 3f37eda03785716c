"""Pictures of a run, as matplotlib figures; drawn the same for PNG files and for the page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.ticker import MaxNLocator

from ctkd_cli.evaluation.metrics import reliability
from ctkd_cli.reports.arm_titles import name_of
from ctkd_cli.runs.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ctkd_cli.evaluation.results import Results

# Okabe and Ito's palette: distinct for colour-blind eyes too.
COLOURS = {"distilled": "#0072B2", "alone": "#D55E00", "teacher": "#009E73"}
OTHERS = ["#CC79A7", "#E69F00", "#56B4E9", "#999999", "#F0E442", "#000000"]
HEAT = "Blues"
NUMBERED_CELLS = 20  # beyond so many labels, numbers in cells cannot be read
# Fonts for scripts that matplotlib's own has not, where the machine has them.
FALLBACKS = {
    "Hiragino Sans", "Microsoft YaHei", "Noto Sans Arabic", "Noto Sans CJK JP", "PingFang SC",
    "WenQuanYi Micro Hei",
}  # fmt: skip
STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans", *sorted(FALLBACKS.intersection(get_font_names()))],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "svg.fonttype": "none",
    "svg.hashsalt": "ctkd",
}


def pictures(results: Results) -> dict[str, Figure]:
    """Every picture of a run, by file name."""
    makers: dict[str, Callable[[Results], Figure]] = {
        "confusion": confusion,
        "curves": curves,
        "label_map": label_map,
        "reliability": reliability_diagram,
    }
    with mpl.rc_context(STYLE):
        return {name: make(results) for name, make in makers.items()}


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    figure.set_dpi(150)
    return _saved(figure, FigureCanvasAgg(figure).print_png)


def svg(figure: Figure) -> str:
    """A figure as an <svg> element, without the XML preamble."""
    said: dict[str, Any] = {"metadata": {"Date": None, "Creator": None}}
    text = _saved(figure, partial(FigureCanvasSVG(figure).print_svg, **said)).decode()
    return text[text.index("<svg") :]


@cache
def draw_nothing() -> None:
    """An empty picture, both ways, so that all that drawing needs is imported and works; once in a
    process."""
    with mpl.rc_context(STYLE):
        figure = Figure(layout="constrained")
        axes = figure.add_subplot(title="nothing", xlabel="x")
        figure.colorbar(axes.imshow(np.zeros((2, 2)), cmap=HEAT))
        axes.plot([0, 1], label="line")
        axes.legend()
        png(figure)
        svg(figure)


def confusion(results: Results) -> Figure:
    """Gold against predicted labels of the distilled student, summed over seeds."""
    labels = results.labels("distilled")
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    gold = results.gold_rows()
    for predicted in results.predicted_rows("distilled"):
        np.add.at(counts, (gold, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = canvas(*heat_size(labels, labels))
    heat_map(axes, shares, labels, labels, [[str(n) for n in row] for row in counts])
    axes.set(title="Distilled student on target test", xlabel="predicted", ylabel="gold")
    return figure


def label_map(results: Results) -> Figure:
    """P(target label given source label)."""
    bridge = results.label_map
    cells = [
        [f"{weight:.2f}" if there else "–" for weight in row]
        for row, there in zip(bridge.weights, bridge.mapped, strict=True)
    ]
    rows = [
        label if there else f"{label} (unmapped)"
        for label, there in zip(bridge.source_labels, bridge.mapped, strict=True)
    ]
    figure, axes = canvas(*heat_size(rows, bridge.target_labels))
    heat_map(axes, bridge.weights, rows, bridge.target_labels, cells)
    axes.set(title="Label map: P(target | source)", xlabel="target label", ylabel="source label")
    return figure


def curves(results: Results) -> Figure:
    """Loss over steps, the terms of the objective one below the other: the mean over seeds, and
    their range as a band."""
    steps = results.steps
    students = {
        arm: steps[arm] for arm in results.arms if arm in steps and arm not in results.teachers
    }
    panels: list[tuple[str, str, dict[str, Any]]] = [("ce", "Cross-entropy (nats)", students)]
    if any("kd" in event for seeds in students.values() for each in seeds for event in each):
        panels.append(("kd", "Distillation loss", students))
    teachers = {arm: steps[arm] for arm in results.teachers if arm in steps}
    if teachers:
        panels.append(("ce", "Teacher: cross-entropy (nats)", teachers))
    figure = Figure(figsize=(5.4, 0.8 + 1.9 * len(panels)), layout="constrained")
    all_axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (term, title, arms) in zip(all_axes, panels, strict=True):
        for arm, seeds in arms.items():
            at: dict[int, list[float]] = {}  # step -> the values of all seeds
            for event in (event for each in seeds for event in each if term in event):
                at.setdefault(event["step"], []).append(event[term])
            if at:
                shade, marker = colour(arm, list(arms)), "o" if len(at) < 8 else None
                low, mean, high = (
                    [float(of(values)) for values in at.values()] for of in (min, np.mean, max)
                )
                axes.plot(list(at), mean, label=arm, color=shade, marker=marker, lw=1.8)
                if len(seeds) > 1:
                    axes.fill_between(list(at), low, high, color=shade, alpha=0.15, lw=0)
        lowest = min((min(line.get_ydata(), default=0.0) for line in axes.lines), default=0.0)
        axes.set_title(title)
        axes.set_ylim(bottom=min(0.0, float(lowest)) if np.isfinite(lowest) else 0.0)
        axes.margins(y=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", alpha=0.25)
    all_axes[-1].set_xlabel("optimiser step")
    named = {line.get_label(): line for axes in all_axes for line in axes.lines}
    if len(named) > 1:
        figure.legend(
            list(named.values()), [name_of(str(arm)) for arm in named], frameon=False, ncols=2,
            loc="outside lower center",
        )  # fmt: skip
    return figure


def reliability_diagram(results: Results) -> Figure:
    """Confidence against accuracy, distilled and alone, all seeds together."""
    figure, axes = canvas(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="#999999", lw=1, ls="--")
    arms = [arm for arm in ("distilled", "alone") if arm in results.arms]
    lowest = 1.0
    for arm in arms:
        seeds = results.seeds(arm)
        answers = [results.answers(arm, seed) for seed in seeds]
        right = np.concatenate([(a.predicted == a.gold)[a.gold >= 0] for a in answers])
        bins = reliability(np.concatenate([a.sure[a.gold >= 0] for a in answers]), right)
        confidence, accuracy, share = (np.array(column) for column in zip(*bins, strict=True))
        lowest = min(lowest, confidence.min(), accuracy.min())
        axes.plot(confidence, accuracy, color=colour(arm, arms), lw=1.2, alpha=0.6)
        axes.scatter(
            confidence, accuracy, s=20 + 300 * share, color=colour(arm, arms), alpha=0.8, label=arm
        )
    edge = max(0.0, lowest - 0.08)
    axes.set(
        title="Reliability (size: share of examples)",
        xlabel="confidence", ylabel="accuracy", xlim=(edge, 1.04), ylim=(edge, 1.04),
    )  # fmt: skip
    legend = axes.legend(frameon=False, loc="upper left")
    for handle in legend.legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]
    return figure


def colour(arm: str, arms: Sequence[str]) -> str:
    """An arm's colour, the same in every picture."""
    others = [name for name in arms if name not in COLOURS]
    return COLOURS.get(arm) or OTHERS[others.index(arm) % len(OTHERS)]


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty picture; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def heat_size(rows: Sequence[str], columns: Sequence[str]) -> tuple[float, float]:
    """Inches for a heat map: room for the labels, cells that stay readable, one page at most."""
    longest = [min(24, max(map(len, labels))) for labels in (rows, columns)]
    cell = max(0.7, 0.1 * longest[1] if len(columns) <= 4 else 0)
    return min(12.0, 1.3 + 0.1 * longest[0] + cell * len(columns)), min(
        12.0, 1.4 + 0.55 * len(rows)
    )


def heat_map(
    axes: Axes,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: list[list[str]],
    span: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Values within a span as shades, NaN as none, with the text of each cell where it can be
    read."""
    low, high = span
    axes.imshow(values, cmap=HEAT, vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), [short(c) for c in columns])
    axes.set_yticks(range(len(rows)), [short(r) for r in rows])
    if len(columns) * max(map(len, columns)) > 40:
        axes.tick_params(axis="x", labelrotation=45)
        for tick in axes.get_xticklabels():
            tick.set_horizontalalignment("right")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if max(values.shape) <= NUMBERED_CELLS:
        for row, column in np.ndindex(values.shape):
            dark = values[row, column] > low + 0.55 * (high - low)
            axes.text(
                column, row, cells[row][column], ha="center", va="center",
                color="white" if dark else "#222222",
            )  # fmt: skip


def short(label: object, longest: int = 24) -> str:
    """A label that fits an axis, and that matplotlib does not take for mathematics."""
    text = printable(str(label)).replace("$", r"\$")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _saved(figure: Figure, save: Callable[[io.BytesIO], None]) -> bytes:
    """What a canvas writes of its figure. `Figure.savefig` would draw it twice."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A PNG shows a box where no font here has a letter; the page has the browser's fonts.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        save(buffer)
    figure.set_layout_engine("none")  # what is laid out stays so, in another format too
    return buffer.getvalue()
