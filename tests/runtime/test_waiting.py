"""How torch's threads wait, as GNU's OpenMP itself tells when torch loads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="torch has GNU's OpenMP on Linux")
CTKD = [sys.executable, "-m", "ctkd_cli", "run"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
# Loads torch to see that there is no such device here, and ends.
REFUSED = ["experiment=digits", "device.accelerator=mps"]
JOBS = ["-m", "seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def looks(folder: Path, command: list[str], **chosen: str) -> list[str]:
    """How often threads look before they sleep: of each OpenMP that a process of it loaded."""
    inherited = {name: value for name, value in os.environ.items() if name not in CHOICES}
    variables = {**inherited, **chosen, "OMP_DISPLAY_ENV": "VERBOSE", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert "no mps device" in done.stderr + "".join(
        file.read_text() for file in folder.glob("outputs/*/*/status.json")
    )
    return re.findall(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)


def test_threads_sleep_while_they_wait(tmp_path: Path) -> None:
    assert set(looks(tmp_path, [*CTKD, *REFUSED])) == {"0"}


@pytest.mark.parametrize(
    "chosen, expected",
    [({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "30000000000")],
)
def test_unless_the_user_has_chosen(tmp_path: Path, chosen: dict[str, str], expected: str) -> None:
    assert set(looks(tmp_path, [*CTKD, *REFUSED], **chosen)) == {expected}


@pytest.mark.slow
def test_in_jobs_of_a_launcher(tmp_path: Path) -> None:
    told = looks(tmp_path, [*CTKD, *REFUSED, *JOBS])
    assert len(told) >= 2
    assert set(told) == {"0"}


@pytest.mark.slow
def test_under_torchrun(tmp_path: Path) -> None:
    """Whose own process, which waits for the others, is not ours."""
    told = looks(tmp_path, [*TORCHRUN, "-m", "ctkd_cli", "run", *REFUSED])
    assert told.count("0") >= 2
