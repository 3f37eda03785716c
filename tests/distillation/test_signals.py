"""Joining what the teacher said to a lesson: by id, through the bridge, without leaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from ctkd_cli.data._ids import Ids
from ctkd_cli.distillation import knowledge
from ctkd_cli.distillation.bridges.identity import Identity
from ctkd_cli.distillation.bridges.leep import Leep
from ctkd_cli.distillation.knowledge import Centred, Knowledge
from ctkd_cli.distillation.signals import join, shared_labels

IDS = Ids([f"example-{row}" for row in range(10)])
LOGITS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
FEATURES = np.arange(40, dtype=np.float32).reshape(10, 4)
SOURCE, TARGET = ("a", "b", "c"), ("b", "x")


@pytest.fixture
def store(tmp_path: Path) -> Knowledge:
    said = [(rows, LOGITS[rows], FEATURES[rows]) for rows in ([3, 9, 0], [1, 2, 4, 5, 6, 7, 8])]
    knowledge.write(tmp_path, IDS, said, np.ones((3, 4), np.float32), np.zeros(3))
    return knowledge.read(tmp_path)


def test_rows_are_joined_by_id_in_any_order(store: Knowledge) -> None:
    order = np.random.default_rng(1).permutation(10)[:6]
    gold = np.array([0, 1, 0, 1, -1, -1])
    joined, _ = join(store, IDS.select(order), gold, Identity(), SOURCE, TARGET)
    np.testing.assert_array_equal(joined.logits, LOGITS[order])
    np.testing.assert_array_equal(joined.features, FEATURES[order])
    batch = joined.rows(np.array([2, 0]))
    np.testing.assert_array_equal(batch["logits"].numpy(), LOGITS[order][[2, 0]])


def test_an_unknown_example_is_an_error_not_a_neighbour(store: Knowledge) -> None:
    with pytest.raises(KeyError):
        store.ids.positions(["example-1", "example-99"])


def test_the_store_is_memory_mapped(store: Knowledge) -> None:
    assert isinstance(store.logits, np.memmap)
    assert isinstance(store.features, Centred)
    assert isinstance(store.features.stored, np.memmap)


def test_features_keep_a_thousandth_of_their_spread(tmp_path: Path) -> None:
    """Also features that differ by a hundredth of what they have in common."""
    features = np.random.default_rng(2).normal(50, 0.5, (300, 4)).astype(np.float32)
    store = stored(tmp_path, features)
    assert store.features.stored.dtype == np.float16
    np.testing.assert_allclose(store.features[:], features, atol=0.5 * 4 / 1000)


def test_features_too_large_for_half_precision_are_kept_whole(tmp_path: Path) -> None:
    features = np.random.default_rng(3).normal(0, 1, (300, 4)).astype(np.float32)
    features[200, 1] = 1e6  # comes after rows that were written in half precision
    store = stored(tmp_path, features)
    assert store.features.stored.dtype == np.float32
    np.testing.assert_allclose(store.features[:], features, rtol=1e-3, atol=1e-3)


def stored(folder: Path, features: np.ndarray) -> Knowledge:
    """A store of these features, written 100 rows at a time."""
    n = len(features)
    logits = np.zeros((n, 3), np.float32)
    said = [(np.arange(k, k + 100), logits[:100], features[k : k + 100]) for k in range(0, n, 100)]
    ids = Ids.counted("example", n)
    knowledge.write(folder, ids, said, np.ones((3, 4), np.float32), np.zeros(3))
    return knowledge.read(folder)


def test_shared_labels_are_pairs_by_name() -> None:
    np.testing.assert_array_equal(shared_labels(("a", "b", "c"), ("c", "a")), [[0, 1], [2, 0]])
    assert shared_labels(("a",), ("b",)).shape == (0, 2)


def test_mapped_and_mass_by_hand(store: Knowledge) -> None:
    joined, _ = join(store, IDS, np.full(10, -1), Identity(), SOURCE, TARGET)
    np.testing.assert_allclose(joined.mapped, np.tile([1.0, 0.0], (10, 1)))
    np.testing.assert_allclose(joined.mass, softmax(LOGITS, axis=1)[:, 1], rtol=1e-5)


def test_a_labelled_example_never_hears_its_own_label(store: Knowledge) -> None:
    """Rows 0 and 3 share the first fold: they hear a map fitted on the others alone."""
    gold = np.array([0, 0, 0, 1, 1, 1, -1, -1, -1, -1])
    joined, label_map = join(store, IDS, gold, Leep(), SOURCE, TARGET)
    p = softmax(LOGITS.astype(np.float64), axis=1)
    others = [1, 2, 4, 5]
    without = Leep().fit(SOURCE, TARGET, p[others], gold[others])
    np.testing.assert_allclose(joined.mapped[[0, 3]], without.apply(p[[0, 3]])[0], rtol=1e-6)
    np.testing.assert_allclose(joined.mapped[6:], label_map.apply(p[6:])[0], rtol=1e-6)


def test_an_only_example_of_its_label_hears_nothing(store: Knowledge) -> None:
    gold = np.array([0, 0, 0, 1, -1, -1, -1, -1, -1, -1])
    joined, _ = join(store, IDS, gold, Leep(), SOURCE, TARGET)
    assert joined.mass[3] == 0
    np.testing.assert_allclose(joined.mass[[0, 1, 2]], 1)
