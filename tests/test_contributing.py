"""CONTRIBUTING.md, word by word: a loss from outside the package."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
Ctkd = Callable[..., tuple[int, str, str]]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `my_package` with the loss, and a folder with the YAML."""
    from ctkd_cli.settings import component

    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    (option,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    (entry,) = re.findall(r"`(log_mse = \"my_package.log_mse:LogMse\")`", TEXT)
    site = tmp_path / "site"
    (site / "my_package").mkdir(parents=True)
    (site / "my_package" / "__init__.py").touch()
    (site / "my_package" / "log_mse.py").write_text(code)
    info = site / "my_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[ctkd.losses]\n{entry.replace(chr(34), '')}\n")
    (tmp_path / "mine" / "loss").mkdir(parents=True)
    (tmp_path / "mine" / "loss" / "log_mse.yaml").write_text(option)
    monkeypatch.syspath_prepend(str(site))
    component._third_party.cache_clear()
    yield tmp_path / "mine"
    component._third_party.cache_clear()
    sys.modules.pop("my_package.log_mse", None)


def test_the_loss_is_listed_and_runs(outside: Path, ctkd: Ctkd, tiny_run: list[str]) -> None:
    code, out, _ = ctkd("list", "loss", "--config-dir", str(outside))
    assert code == 0
    assert "Squared error between log-probabilities" in out
    assert "you want a loss without a temperature" in " ".join(out.split())
    code, _, err = ctkd(
        "run", "--config-dir", str(outside), *tiny_run, "loss=log_mse", "loss.floor=0.001"
    )
    assert code == 0, err
    events = next(Path("outputs").glob("*/events.jsonl")).read_text()
    assert '"kd":' in events


def test_its_settings_are_checked(outside: Path, ctkd: Ctkd) -> None:
    code, _, err = ctkd("run", "--config-dir", str(outside), "loss=log_mse", "loss.flor=2")
    assert code == 2
    assert "did you mean floor" in err


def test_its_value_is_the_formula(outside: Path) -> None:
    import numpy as np
    import torch
    from my_package.log_mse import log_mse

    logits, q = np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])
    log_p = logits - np.log(np.exp(logits).sum())
    expected = ((log_p - np.log([[1.0, 0.01]])) ** 2).mean()
    assert log_mse(torch.tensor(logits), torch.tensor(q), 0.01).item() == pytest.approx(expected)
