"""Label maps, against hand-made ones and LEEP's formula."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ctkd_cli.distillation.bridges._label_graph import packaged
from ctkd_cli.distillation.bridges.base import LabelMap, stacked
from ctkd_cli.distillation.bridges.fused import Fused
from ctkd_cli.distillation.bridges.graph import Graph
from ctkd_cli.distillation.bridges.identity import Identity
from ctkd_cli.distillation.bridges.leep import Leep
from ctkd_cli.distillation.bridges.manual import Manual
from ctkd_cli.distillation.bridges.names import Names, fold_name
from ctkd_cli.distillation.bridges.ot import Ot, sinkhorn
from ctkd_cli.errors import InputError


def test_identity_maps_equal_names_only() -> None:
    label_map = Identity().fit(["sport", "tech", "Arts"], ["sport", "arts"])
    np.testing.assert_array_equal(label_map.weights, [[1, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(label_map.mapped, [True, False, False])
    assert label_map.coverage == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("label", "folded"),
    [
        ("Sports", "sport"),
        ("sci/tech", "sci tech"),
        ("SCI_TECH", "sci tech"),
        ("Categories", "category"),
        ("news", "new"),  # a wrong singular is harmless: both sides fold alike
        ("business", "business"),
        ("virus", "virus"),
        ("analysis", "analysis"),
        ("Köpfe", "köpfe"),
    ],
)
def test_fold_name(label: str, folded: str) -> None:
    assert fold_name(label) == folded


def test_names_folds_case_punctuation_and_plural() -> None:
    label_map = Names().fit(["Sports", "Sci/Tech"], ["sci-tech", "sport"])
    np.testing.assert_array_equal(label_map.weights, [[0, 1], [1, 0]])


def test_names_without_a_namesake_says_what_would_work() -> None:
    with pytest.raises(InputError, match="bridge=leep"):
        Names().fit(["a"], ["b", "c"])


def test_manual_normalises_and_leaves_the_rest_unmapped() -> None:
    bridge = Manual(map={"tech": {"business": 3.0, "politics": 1.0}, "sport": "sport"})
    label_map = bridge.fit(["sport", "tech", "arts"], ["sport", "business", "politics"])
    np.testing.assert_allclose(label_map.weights, [[1, 0, 0], [0, 0.75, 0.25], [0, 0, 0]])


def test_manual_reports_every_unknown_label_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Manual(map={"sprot": "sport", "tech": "buisness"}).fit(
            ["sport", "tech"], ["sport", "business"]
        )
    assert len(caught.value.problems) == 2
    assert [problem.nearest for problem in caught.value.problems] == ["sport", "business"]


def test_leep_is_the_papers_formula() -> None:
    theta = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    gold = np.array([0, 0, 1])
    # P(y, z) = 1/3 sum_i [y_i = y] theta_iz: z=0: (1.4, 0.1)/3, z=1: (0.6, 0.9)/3
    expected = [[1.4 / 1.5, 0.1 / 1.5], [0.6 / 1.5, 0.9 / 1.5]]
    label_map = Leep(prior=0.0).fit(["s", "t"], ["x", "y"], theta, gold)
    np.testing.assert_allclose(label_map.weights, expected)


def test_leep_with_a_silent_source_label_falls_back_on_the_prior() -> None:
    theta = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    label_map = Leep(prior=0.1).fit(["s", "t"], ["x", "y"], theta, np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(label_map.weights[1], [0.75, 0.25])


def test_apply_renormalises_and_reports_the_mapped_mass() -> None:
    label_map = LabelMap(("a", "b", "c"), ("x", "y"), np.array([[1, 0], [0, 1], [0, 0]]))
    q, mass = label_map.apply(np.array([[0.3, 0.1, 0.6], [0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(q, [[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(mass, [0.4, 0.0])


def test_rows_that_are_no_distribution_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        LabelMap(("a",), ("x", "y"), np.array([[0.5, 0.1]]))


def test_entropy_by_hand() -> None:
    label_map = LabelMap(("a", "b"), ("x", "y"), np.array([[0.5, 0.5], [1.0, 0.0]]))
    np.testing.assert_allclose(label_map.entropy, [np.log(2), 0.0])


def test_csv_has_a_row_per_source_label() -> None:
    label_map = LabelMap(("a", 'b,"'), ("x", "y"), np.array([[0.25, 0.75], [0, 0]]))
    assert label_map.to_csv() == (
        'source,x,y,mapped\na,0.250000,0.750000,true\n"b,""",0.000000,0.000000,false\n'
    )


P = np.random.default_rng(3).dirichlet(np.ones(3), size=12)
GOLD = np.arange(12) % 2


def test_ot_without_sharpening_is_leep() -> None:
    soft = Ot(regularisation=1.0).fit(["a", "b", "c"], ["x", "y"], P, GOLD).weights
    leep = Leep(prior=0.0).fit(["a", "b", "c"], ["x", "y"], P, GOLD).weights
    np.testing.assert_allclose(soft, leep, atol=1e-6)


def test_ot_keeps_the_marginals_and_approaches_the_cheapest_plan() -> None:
    from scipy.optimize import linprog

    cost = np.array([[1.0, 3.0, 2.0], [4.0, 1.0, 2.0]])
    rows, columns = np.array([0.6, 0.4]), np.array([0.5, 0.3, 0.2])
    plan = sinkhorn(cost, rows, columns, 0.02)
    np.testing.assert_allclose(plan.sum(axis=1), rows, atol=1e-8)
    np.testing.assert_allclose(plan.sum(axis=0), columns, atol=1e-8)
    equal = [np.kron(np.eye(2), np.ones(3)), np.kron(np.ones(2), np.eye(3))]
    best = linprog(cost.ravel(), A_eq=np.vstack(equal), b_eq=np.concatenate([rows, columns]))
    assert (plan * cost).sum() == pytest.approx(best.fun, abs=1e-3)


def test_ot_with_a_label_that_no_example_has() -> None:
    weights = Ot().fit(["a", "b", "c"], ["x", "y", "never"], P, GOLD).weights
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert not weights[:, 2].any()


def test_fused_adds_what_is_known_to_the_counts() -> None:
    probabilities, gold = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1])
    label_map = Fused(alpha=5.0, map={"b": {"car": 1, "y": 3}}).fit(
        ["Cars", "b"], ["car", "y"], probabilities, gold
    )
    counts = np.array([[0.9, 0.4], [0.1, 0.6]])
    before = np.array([[1, 0], [0.25, 0.75]])  # Cars by its name, b by hand
    expected = (counts + 5 * before) / (counts.sum(axis=1, keepdims=True) + 5)
    np.testing.assert_allclose(label_map.weights, expected)


def test_fused_without_prior_knowledge_is_undecided() -> None:
    probabilities, gold = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]), np.array([0, 1, 1])
    label_map = Fused(alpha=1e9).fit(["a", "b"], ["x", "y"], probabilities, gold)
    np.testing.assert_allclose(label_map.weights, [[1 / 3, 2 / 3]] * 2, atol=1e-6)


def graph_file(tmp_path: Path, text: str, name: str = "labels.tsv") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_walk_by_hand(tmp_path: Path) -> None:
    """a - x with weight 3, a - car with weight 1. PageRank r = restart e_a + (1 - restart) r M; by
    symmetry of the star r_x : r_car = 3 : 1."""
    path = graph_file(tmp_path, "A\tis\tx\t3\na\tis\tcars\t1\nlost\tis\tisland\n")
    label_map = Graph(path=path).fit(["a", "lost", "unheard"], ["X", "car"])
    np.testing.assert_allclose(label_map.weights, [[0.75, 0.25], [0, 0], [0, 0]], atol=1e-8)
    assert label_map.unmapped == ["lost", "unheard"]
    beyond = Graph(path=path).fit(["a"], ["x", "island"])
    assert beyond.unreached == ["island"]


def test_a_walk_is_the_solution_of_its_equations(tmp_path: Path) -> None:
    """Against a linear system, on a graph that is no star."""
    path = graph_file(tmp_path, "a\tr\tx\t2\nx\tr\ty\t1\ny\tr\tz\t1\na\tr\tz\t0.5\n")
    names = ["a", "x", "y", "z"]
    w = np.array([[0, 2, 0, 0.5], [2, 0, 1, 0], [0, 1, 0, 1], [0.5, 0, 1, 0]])
    step = w / w.sum(axis=1, keepdims=True)
    rank = np.linalg.solve(np.eye(4) - 0.7 * step.T, 0.3 * np.eye(4)[0])
    expected = rank[1:] / rank[1:].sum()
    got = Graph(path=path, restart=0.3).fit(["a"], names[1:]).weights[0]
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_aliases_make_names_one(tmp_path: Path) -> None:
    edges = [
        {"head": "Footy", "relation": "alias", "tail": "football"},
        {"head": "football", "relation": "is", "tail": "sports", "weight": 2},
    ]
    path = graph_file(tmp_path, json.dumps(edges), "labels.json")
    weights = Graph(path=path).fit(["footy"], ["sport", "other"]).weights
    np.testing.assert_allclose(weights, [[1, 0]])


def test_every_bad_edge_is_named(tmp_path: Path) -> None:
    path = graph_file(tmp_path, "# fine\na\tis\tb\na\tis\na\tis\tb\tmuch\na\tis\tb\t-1\n\tis\tb\n")
    with pytest.raises(InputError) as caught:
        Graph(path=path).fit(["a"], ["b"])
    assert [problem.where.rpartition(" ")[2] for problem in caught.value.problems] == list("3456")


@pytest.mark.parametrize("name", packaged())
def test_the_graphs_that_come_with_ctkd_can_be_walked(name: str) -> None:
    ends = {"news_topics": ("soccer", "sport"), "sentiment": ("5 stars", "positive")}
    source, target = ends[name]
    other = {"news_topics": "politics", "sentiment": "negative"}[name]
    weights = Graph(path=name).fit([source], [other, target]).weights[0]
    assert weights[1] > 0.8


def test_a_graph_that_leads_nowhere_names_the_missing_labels() -> None:
    with pytest.raises(InputError) as caught:
        Graph(path="news_topics").fit(["sprot"], ["buisness"])
    assert "sport" in str(caught.value)
    assert "business" in str(caught.value)


def test_maps_of_several_sources_are_stacked() -> None:
    first = LabelMap(("a",), ("x", "y"), np.array([[1.0, 0.0]]))
    second = LabelMap(("a", "b"), ("x", "y"), np.array([[0.0, 0.0], [0.5, 0.5]]))
    both = stacked({"one": first, "two": second})
    assert both.source_labels == ("one: a", "two: a", "two: b")
    np.testing.assert_array_equal(both.weights, [[1, 0], [0, 0], [0.5, 0.5]])
    assert stacked({"one": first}) is first
