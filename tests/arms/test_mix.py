"""loss=mix on the command line, and what the ledger says of its terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctkd_cli.errors import InputError
from ctkd_cli.evaluation.results import Results
from ctkd_cli.experiment import load, of_overrides
from ctkd_cli.reports import findings

Ctkd = Callable[..., tuple[int, str, str]]


def test_terms_have_weights_and_settings() -> None:
    terms = "loss.terms={hint: 2, kl: {temperature: 3, weight: 0.5}, rkd: 0}"
    experiment = of_overrides(["loss=mix", terms])
    found = [(loss.name, weight) for loss, weight in experiment.loss.parts()]
    assert found == [("hint", 2), ("kl", 0.5)]  # a weight of 0 leaves a term out
    assert experiment.loss.parts()[1][0].temperature == 3
    again = load(experiment.model_dump(mode="json", by_alias=True))
    assert again.loss.model_dump() == experiment.loss.model_dump()


@pytest.mark.parametrize(
    ("terms", "where", "nearest"),
    [
        ("{hnt: 1}", "loss.terms.hnt", "hint"),
        ("{kl: {temprature: 2}}", "loss.terms.kl.temprature", "temperature"),
        ("{kl: {temperature: -2}}", "loss.terms.kl.temperature", ""),
        ("{hint: -1}", "loss.terms.hint", ""),
        ("{hint: {weight: much}}", "loss.terms.hint", ""),
        ("{mix: 1}", "loss.terms.mix", ""),
        ("{hint: 0}", "loss.terms", ""),
        ("{}", "loss.terms", ""),
    ],
)
def test_bad_terms_are_told_with_all_else(terms: str, where: str, nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        of_overrides(["loss=mix", f"loss.terms={terms}", "lambda=-1"])
    found = {problem.where: problem.nearest for problem in caught.value.problems}
    assert found == {where: nearest, "lambda": ""}


def test_a_run_keeps_a_ledger_of_each_term(ctkd: Ctkd, tiny_run: list[str]) -> None:
    terms = "loss.terms={mapped_kl: 1, hint: {weight: 0.5}, cka: 0.2}"
    code, _, err = ctkd("run", *tiny_run, "loss=mix", terms, "training.batch_size=16", "lambda=2")
    assert code == 0, err
    (run,) = Path("outputs").iterdir()
    entries = findings.ledger(Results.read(run))
    weights = {entry.term: entry.weight for entry in entries}
    expected = {"cross-entropy": 1, "mapped_kl": 2, "hint": 1, "cka": 0.4}
    assert weights == pytest.approx(expected)
    assert sum(entry.share or 0 for entry in entries) == pytest.approx(1, abs=1e-5)
    page = (run / "report.html").read_text()
    assert all(f"<td>{name}</td>" in page for name in expected)


def test_a_mix_is_refused_where_one_of_its_terms_is(ctkd: Ctkd) -> None:
    code, _, err = ctkd("check", "loss=mix", "loss.terms={hint: 1, dkd: 1}")
    assert code == 2
    assert "loss=dkd needs 3 labels that both tasks have" in err
    allowed = next(line for line in err.splitlines() if "allowed" in line)
    assert "mapped_kl" in allowed
    assert "kl_std" not in allowed


def results_with(shares: dict[str, float]) -> Any:
    step = {"ce": 1.0, "kd": 1.0, "lambda": 1.0, "kd_share": sum(shares.values())}
    step |= {f"kd/{name}": 0.5 for name in shares}
    step |= {f"kd_share/{name}": share for name, share in shares.items()}
    return SimpleNamespace(
        steps={"distilled": [[step]]}, config={"loss": {"name": "mix"}}, weights={}
    )


def test_idle_and_drowning_terms_are_warned_of() -> None:
    entries = findings.ledger(results_with({"a": 0.005, "b": 0.992}))
    warned = {entry.term: entry.warning for entry in entries if entry.warning}
    assert warned.keys() == {"cross-entropy", "a", "b"}
    assert "does nothing" in warned["a"]
    assert "drowns the rest" in warned["b"]
    fine = findings.ledger(results_with({"a": 0.3, "b": 0.3}))
    assert not any(entry.warning for entry in fine)
