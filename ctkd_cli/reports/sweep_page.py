"""sweep.html: many runs on one self-contained page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctkd_cli.reports import plots, search_plots
from ctkd_cli.reports.html import data_uri, environment
from ctkd_cli.rundir import write_atomically

if TYPE_CHECKING:
    from ctkd_cli.sweep import Sweep


def write(sweep: Sweep) -> None:
    """Write sweep.html and, where one number was swept over, curve.png into the sweep's folder."""
    from ctkd_cli.sweep import in_words, labels

    templates = environment()
    templates.filters["labels"] = labels
    picture = None
    if sweep.curve is not None:
        write_atomically(sweep.directory / "curve.png", plots.png(plots.curve(sweep.curve)))
        picture = data_uri(plots.curve(sweep.curve))
    searched = search_plots.pictures(sweep.directory)
    for name, (figure, _) in searched.items():
        write_atomically(sweep.directory / f"{name}.png", plots.png(figure))
    page = templates.get_template("sweep.html").render(
        name=sweep.directory.name,
        groups=sweep.groups,
        best=sweep.best,
        curve=sweep.curve,
        picture=picture,
        inf=float("inf"),
        saved=[in_words(each) for each in sweep.curve.saved] if sweep.curve else [],
        failed=sweep.failed,
        searched=[(data_uri(figure), text) for figure, text in searched.values()],
        n_jobs=len(sweep.jobs),
    )  # fmt: skip
    write_atomically(sweep.directory / "sweep.html", page)
