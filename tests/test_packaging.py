"""The wheel, in a clean folder, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_ships_everything(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    configs = {f"ctkd_cli/{p.relative_to(ROOT)}" for p in (ROOT / "configs").rglob("*.yaml")}
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "ctkd_cli").rglob("*.py")}
    assert configs | modules | {"ctkd_cli/reports/templates/report.html"} <= shipped
    assert not [name for name in shipped if name.startswith(("tests/", "docs/"))]


def test_a_smoke_runs_from_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    """Dependencies come from this environment; ctkd comes from the clean folder."""
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps",
         "--target", site, wheel],
        check=True, timeout=300,
    )  # fmt: skip
    (tmp_path / "work").mkdir()
    code = "import ctkd_cli, sys; from ctkd_cli.__main__ import main; print(ctkd_cli.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(main(['run', 'experiment=smoke']))"],
        cwd=tmp_path / "work", env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert str(site) in done.stdout.splitlines()[0]
    assert list((tmp_path / "work" / "outputs").glob("*/report.html"))


def test_the_version_is_one(wheel: Path) -> None:
    import ctkd_cli

    assert f"ctkd-{ctkd_cli.__version__}-" in wheel.name
    assert f"## {ctkd_cli.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_pre_commit_runs_what_scripts_test_runs() -> None:
    import yaml

    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "mypy"}
    script = (ROOT / "scripts" / "test").read_text()
    for hook in hooks:
        command = hook["entry"].removeprefix(".venv/bin/")
        assert f'"$venv/bin/{command.split()[0]}"' in script
