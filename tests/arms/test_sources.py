"""Several sources: chosen on the command line, put together in every way, and told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_topics
from scipy.special import softmax
from scipy.stats import entropy
from teachers import bridged, knowledge

from ctkd_cli.arms import sources
from ctkd_cli.distillation import fusion
from ctkd_cli.distillation.transfer import leep_gain
from ctkd_cli.errors import InputError
from ctkd_cli.evaluation.arm_names import QUICK
from ctkd_cli.evaluation.results import Results
from ctkd_cli.experiment import of_overrides
from ctkd_cli.settings import compose

Ctkd = Callable[..., tuple[int, str, str]]
BOTH = "source=[bbc_articles,bbc_headlines_5]"


def test_a_list_chooses_several_and_each_has_its_keys() -> None:
    experiment = of_overrides([BOTH, "source.limit=50", "source.bbc_articles.limit=20"])
    limits = {name: task.limit for name, task in experiment.sources.items()}
    assert limits == {"bbc_articles": 20, "bbc_headlines_5": 50}
    assert of_overrides(["source=bbc_articles"]).sources.keys() == {"source"}


@pytest.mark.parametrize(
    ("overrides", "where", "says"),
    [
        (["source=[bbc_articles,bbc_artcles]"], "source", "bbc_articles"),
        (["source=[bbc_articles,bbc_articles]"], "source", "once"),
        (["target=[bbc_articles,bbc_headlines]"], "target", "only source"),
        ([BOTH, "source.bbc_articles.limt=3"], "source.bbc_articles.limt", "limit"),
        ([BOTH, "fusion=leap"], "fusion", "leep"),
        (["source=[bbc_articles,digits_low]"], "teacher.backbone", "images"),
    ],
)
def test_what_is_refused(overrides: list[str], where: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        of_overrides(overrides)
    assert {problem.where for problem in caught.value.problems} == {where}
    assert says in str(caught.value)


def test_a_sweep_over_one_and_several() -> None:
    jobs = compose.jobs(["source=bbc_articles,[bbc_articles,bbc_headlines_5]", "seed=1,2"])
    assert [list(of_overrides(job).sources) for job in jobs] == 2 * [["source"]] + 2 * [
        ["bbc_articles", "bbc_headlines_5"]
    ]


def test_merging_joins_labels_by_name_and_keeps_every_example() -> None:
    renamed = "source.bbc_headlines_5.labels={sport: sport, business: money, politics: money}"
    experiment = of_overrides([BOTH, "source.bbc_headlines_5.labels_per_class=null", renamed])
    loaded = sources.load(experiment)
    merged = sources.merge(loaded)
    assert merged.labels == ("sport", "entertainment", "tech", "money")
    one, other = (task.counts()["train"] for task in loaded.values())
    counts = merged.counts()["train"]
    assert counts["money"] == other["money"] > 0
    assert counts["tech"] == one["tech"]
    assert counts["sport"] == one["sport"] + other["sport"]
    assert len(set(merged.train.ids)) == len(merged.train)


def test_other_kinds_cannot_be_merged() -> None:
    texts = sources.load(of_overrides(["source.limit=20"]))["source"]
    images = sources.load(of_overrides(["experiment=digits"]))["source"]
    with pytest.raises(InputError, match="several kinds"):
        sources.merge({"texts": texts, "images": images})


LOGITS = [np.random.default_rng(k).normal(size=(9, 2 + k)) for k in range(3)]
GOLD = np.array([0, 1, 0, 1, 0, 1, 0, 1, -1])


def weights(how: Any, logits: list[np.ndarray], gold: np.ndarray = GOLD) -> np.ndarray:
    """[V, N], of teachers with so many labels each."""
    signals = [
        bridged(knowledge(len(gold), logits=z, labels=tuple("abcdefg"[: z.shape[1]])), gold=gold)
        for z in logits
    ]
    return fusion.weighting(how, signals, 2).at(logits)


@pytest.mark.parametrize("how", ["uniform", "leep", "confidence"])
def test_weights_sum_to_one_over_teachers(how: Any) -> None:
    np.testing.assert_allclose(np.sum(weights(how, LOGITS), axis=0), 1)
    np.testing.assert_allclose(weights(how, LOGITS[:1]), 1)


def test_uniform_and_confidence_by_hand() -> None:
    np.testing.assert_allclose(weights("uniform", LOGITS), 1 / 3)
    certain, undecided = np.array([[30.0, 0.0]]), np.zeros((1, 5))
    first, _ = weights("confidence", [certain, undecided], np.array([0]))
    assert first[0] == pytest.approx(1, abs=1e-5)
    confidence = [1 - entropy(softmax(z, axis=1), axis=1) / np.log(z.shape[1]) for z in LOGITS]
    expected = np.stack(confidence) / np.sum(confidence, axis=0)
    np.testing.assert_allclose(weights("confidence", LOGITS), expected, rtol=1e-4)


def test_the_shares_of_confident_teachers_are_means() -> None:
    signals = [bridged(knowledge(9, logits=z, labels=tuple("abcd"[: z.shape[1]]))) for z in LOGITS]
    found = fusion.weighting("confidence", signals, 2)
    np.testing.assert_allclose(found.shares, weights("confidence", LOGITS).mean(axis=1))


def test_leep_weighs_by_the_cross_validated_gain() -> None:
    known = GOLD >= 0
    gains = [leep_gain(softmax(z[known], axis=1), GOLD[known], 2) for z in LOGITS]
    expected = softmax(10 * np.array(gains))
    np.testing.assert_allclose([weight[0] for weight in weights("leep", LOGITS)], expected)
    good = 5 * np.eye(2)[np.maximum(GOLD, 0)]
    assert weights("leep", [good, LOGITS[0]])[0][0] > 0.9


@pytest.fixture
def two_sources(tiny_run: list[str], tmp_path: Path) -> list[str]:
    """A second file of other topics beside the tiny run's source."""
    (tmp_path / "mine" / "task").mkdir(parents=True)
    sets = {"first": ["sport", "entertainment", "tech"], "second": ["tech", "sport"]}
    for number, (name, labels) in enumerate(sets.items()):
        data = write_topics(tmp_path / f"{name}.csv", labels, 60, seed=10 + number)
        (tmp_path / "mine" / "task" / f"{name}.yaml").write_text(
            f"# {name}\nkind: text\nreader: files\ntrain: {data}\n"
        )
    kept = [o for o in tiny_run if not o.startswith("source")]
    folder = str(tmp_path / "mine")
    return ["--config-dir", folder, *kept, "source=[first,second]", "training.steps=3"]


@pytest.mark.parametrize("how", ["uniform", "leep", "confidence", "merge"])
def test_a_run_tells_what_each_source_brought(ctkd: Ctkd, two_sources: list[str], how: str) -> None:
    code, _, err = ctkd("run", *two_sources, f"fusion={how}", "controls.arms=[stilts]")
    assert code == 0, err
    (run,) = Path("outputs").iterdir()
    results = Results.read(run)
    teachers = ["teacher"] if how == "merge" else ["teacher_first", "teacher_second"]
    assert results.arms == [
        *teachers, "teacher_on_target", "alone", "distilled", "without_first", "without_second",
        "stilts", *QUICK,
    ]  # fmt: skip
    assert results.controls == ["alone", "stilts", *QUICK]  # an arm without a source is no control
    if how == "merge":
        assert results.labels("teacher") == ["entertainment", "sport", "tech"]
    else:
        assert results.labels("teacher_second") == ["sport", "tech"]
        assert sum(results.shares.values()) == pytest.approx(1)
        assert (run / "label_map.csv").read_text().count("second: ") == 2
        step = results.steps["distilled"][0][0]
        kd = step["kd/first"] + step["kd/second"]
        assert step["kd"] == pytest.approx(kd, rel=1e-5)
    page = (run / "report.html").read_text()
    assert f"ctkd run --config-dir {two_sources[1]} " in page  # to repeat it
    assert "What each source brought" in page
    assert "without second" in page
    assert (run / "report.txt").read_text().count("brought:") == 2
    metrics = json.loads((run / "metrics.json").read_text())
    assert "without_first/macro_f1" in metrics
    assert ctkd("report", str(run))[0] == 0


def test_confidence_needs_a_value_per_example(ctkd: Ctkd, two_sources: list[str]) -> None:
    code, _, err = ctkd("run", *two_sources, "fusion=confidence", "loss=mix",
                        "loss.terms={hint: 1, rkd: 1}")  # fmt: skip
    assert code == 2
    assert "loss=rkd has a value for a batch only" in err
    assert "hint" not in err.split("allowed")[0]


def test_check_shows_every_source(
    ctkd: Ctkd, two_sources: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctkd_cli.preflight.estimate.gemm_rate", lambda: 1e6)
    two_sources = [*two_sources, "teacher.seed=77"]  # no other test has trained these
    code, out, err = ctkd("check", *two_sources)
    assert code == 0, err
    assert "source first task" in out
    assert "without each source" in out
    assert "transfer hint: once" in out
    assert ctkd("run", *two_sources)[0] == 0
    _, out, _ = ctkd("check", *two_sources)
    assert "LEEP gain" in out
    assert "first: tech" in out  # the label map of both
