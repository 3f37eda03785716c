"""What a run leaves for people: rebuilt at any time from the run directory alone."""

from __future__ import annotations

import json
from pathlib import Path

from ctkd_cli.evaluation.results import Results
from ctkd_cli.evaluation.verdict import Verdict, reach
from ctkd_cli.runs.atomic import write_atomically


def get_ready() -> None:
    """Import all that reports need, and draw once: what is wrong with it shows before anything is
    trained."""
    from ctkd_cli.reports import flat, html, model_card, plots, terminal, text  # noqa: F401

    plots.draw_nothing()


def write_reports(directory: Path) -> dict[str, float]:
    """Write metrics.json, report.txt, the pictures, report.html and the model card.

    Returns the figures of metrics.json. Raises InputError when there is no finished run.
    """
    from ctkd_cli.reports import html, model_card, plots, text
    from ctkd_cli.reports.flat import flat_metrics
    from ctkd_cli.reports.recommendation import recommend

    results = Results.read(directory)
    verdict = reach(results)
    advice = recommend(results, verdict)
    metrics = flat_metrics(results, verdict)
    write_atomically(directory / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    write_atomically(directory / "report.txt", text.render(results, verdict, advice))
    pictures = plots.pictures(results)
    for name, picture in pictures.items():
        write_atomically(directory / f"{name}.png", plots.png(picture))
    write_atomically(directory / "report.html", html.render(results, verdict, advice, pictures))
    if (directory / "student").is_dir():
        card = model_card.render(results, verdict, advice)
        write_atomically(directory / "student" / "README.md", card)
    return metrics


def print_summary(directory: Path) -> None:
    """The verdict, the arms and the next command, on stdout."""
    from ctkd_cli.reports import terminal

    results = Results.read(directory)
    terminal.print_summary(results, reach(results))


__all__ = ["Results", "Verdict", "print_summary", "write_reports"]
