"""sweep.html: many runs on one self-contained page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ctkd_cli.reports import plots, search_plots, sweep_plots
from ctkd_cli.reports import sweep_words as words
from ctkd_cli.reports.html import data_uri, environment
from ctkd_cli.runs.atomic import write_atomically
from ctkd_cli.runs.printable import printable
from ctkd_cli.sweep import shapes
from ctkd_cli.sweep.job import NOT_BEGUN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ctkd_cli.sweep.directory import Sweep
    from ctkd_cli.sweep.shapes import Curve
    from ctkd_cli.tasks.metric import Metric

GRID = "The distilled student's {} on target test, means over seeds"
LINES = "A line per setting, coloured by {} on {}; lines through one value are fanned out"


def write(sweep: Sweep) -> None:
    """Write sweep.html and its pictures as PNG files into the sweep's folder."""
    pictures = _pictures(sweep) | search_plots.pictures(sweep)
    for name, (figure, _) in pictures.items():
        write_atomically(sweep.directory / f"{name}.png", plots.png(figure))
    saved = shapes.saved(sweep)
    templates = environment()
    templates.filters["labels"] = words.labels
    templates.filters["spread"] = words.spread
    page = templates.get_template("sweep.html").render(
        name=sweep.directory.name,
        sweep=sweep,
        counted=words.counted(sweep),
        answer=words.answer(sweep),
        chosen_by=words.chosen_by(sweep),
        caution=words.caution(sweep),
        saved=saved,
        saving=[words.saving(each, sweep.metric) for each in saved],
        inf=float("inf"),
        wide="parallel" in pictures,
        pictures=[(data_uri(figure), text) for figure, text in pictures.values()],
        failed=[job for job in sweep.failed if job.status != NOT_BEGUN],
        not_begun=[job for job in sweep.failed if job.status == NOT_BEGUN],
    )
    write_atomically(sweep.directory / "sweep.html", page)


def _pictures(sweep: Sweep) -> dict[str, tuple[Figure, str]]:
    """File name -> a picture and what it shows."""
    found: dict[str, tuple[Figure, str]] = {}
    curves = shapes.curves(sweep)
    for curve in curves:
        key = re.sub(r"\W+", "_", curve.axis).strip("_")
        name = "curve" if len(curves) == 1 else f"curve_{key}"
        found[name] = sweep_plots.curve(curve, sweep.metric), _of_curve(curve, sweep.metric)
    if (grid := shapes.grid(sweep)) is not None:
        framed = f"; framed: chosen by {sweep.chosen_on}" if grid.chosen is not None else ""
        found["heat_map"] = sweep_plots.grid(grid), GRID.format(sweep.metric.title) + framed
    if (lines := shapes.lines(sweep)) is not None:
        metric = sweep.chooses or sweep.metric
        picture = sweep_plots.lines(lines, metric), LINES.format(metric.title, lines.scored)
        found["parallel"] = picture
    return found


def _of_curve(curve: Curve, metric: Metric) -> str:
    others = f"; {printable(curve.others)}" if curve.others else ""
    seeds = len(curve.scores["distilled"])
    spread = "means over seeds with 95% t-intervals" if seeds > 1 else "one seed, no interval"
    return f"{metric.title} on target test over {printable(curve.axis)}, {spread}{others}"
