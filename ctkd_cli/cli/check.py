"""`ctkd check`: everything but training."""

from __future__ import annotations

from ctkd_cli.cli._hydra import start_hydra
from ctkd_cli.cli._options import AsJson, ConfigDir, Overrides
from ctkd_cli.runtime import streams


def check(
    overrides: Overrides = None, config_dir: ConfigDir = None, as_json: AsJson = False
) -> None:
    """Look at settings, data, label map and cost, without training anything.

    \b
    Examples:
      ctkd check
      ctkd check target=files target.train=my.csv target.label=stars
      ctkd check "source=[bbc_articles,newsgroups_coarse]"   which one is nearer
    Then: ctkd run, with the same overrides
    """
    from ctkd_cli.cli._check_tables import show
    from ctkd_cli.experiment import of_overrides
    from ctkd_cli.preflight.overview import look

    start_hydra(config_dir)
    found, label_map = look(of_overrides(list(overrides or [])))
    if as_json:
        print(streams.as_json(found, indent=1))
    else:
        show(found, label_map)
