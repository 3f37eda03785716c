"""What cannot work together is refused before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from ctkd_cli.backbones.huggingface import Huggingface

Ctkd = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("gives", "loss", "missing", "serves"),
    [
        ({"logits"}, "hint", "features", "mapped_kl"),
        ({"logits", "features"}, "theta_ce", "head", "hint"),
    ],
)
def test_a_teacher_that_does_not_give_what_a_loss_needs(
    ctkd: Ctkd,
    tiny_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
    gives: set[str],
    loss: str,
    missing: str,
    serves: str,
) -> None:
    """An API or a saved table of logits has no features: the losses that remain are told."""
    monkeypatch.setattr(Huggingface, "gives", frozenset(gives))
    code, _, err = ctkd("check", *tiny_run, f"loss={loss}")
    assert code == 2
    assert f"loss={loss} needs {missing} of a teacher" in err
    (told,) = re.findall(r"allowed: here: (.*)", err)
    assert serves in told.split(", ")
    assert loss not in told.split(", ")
    code, _, err = ctkd("check", *tiny_run, f"loss={serves}")
    assert code == 0, err
