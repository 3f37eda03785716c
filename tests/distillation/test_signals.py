"""Joining what the teacher said to a lesson: by id, through the bridge, without leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from teachers import LABELS
from teachers import bridged as through

from ctkd_cli.data._ids import Ids
from ctkd_cli.distillation import knowledge
from ctkd_cli.distillation.bridges.base import Bridge
from ctkd_cli.distillation.bridges.identity import Identity
from ctkd_cli.distillation.bridges.leep import Leep
from ctkd_cli.distillation.folds import CrossFitted
from ctkd_cli.distillation.knowledge import Head, Knowledge
from ctkd_cli.distillation.rows import Centred, Judged
from ctkd_cli.distillation.signals import Heard, shared_labels, through_bridge
from ctkd_cli.tasks.positions import Labels

IDS = Ids([f"example-{row}" for row in range(10)])
LOGITS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
FEATURES = np.arange(40, dtype=np.float32).reshape(10, 4)
SOURCE, TARGET = ("a", "b", "c"), ("b", "x")


@pytest.fixture
def store(tmp_path: Path) -> Knowledge:
    said = [(rows, LOGITS[rows], FEATURES[rows]) for rows in ([3, 9, 0], [1, 2, 4, 5, 6, 7, 8])]
    head = Head(np.ones((3, 4), np.float32), np.zeros(3))
    knowledge.write(tmp_path, IDS, said, head)
    return knowledge.read(tmp_path, labels=SOURCE)


def hear(
    store: Knowledge, bridge: Bridge, gold: np.ndarray, rows: list[int], ids: Ids = IDS
) -> Heard:
    """What is heard at some examples with one position each."""
    signals = through_bridge(store, ids, Labels(gold), bridge, TARGET)
    return signals.heard(np.array(rows), np.zeros(len(rows), np.int64))


def test_rows_are_joined_by_id_in_any_order(store: Knowledge) -> None:
    order = np.random.default_rng(1).permutation(10)[:6]
    gold = np.array([0, 1, 0, 1, -1, -1])
    found = hear(store, Identity(), gold, [2, 0], IDS.select(order))
    np.testing.assert_array_equal(found.logits, LOGITS[order][[2, 0]])
    np.testing.assert_array_equal(found.features, FEATURES[order][[2, 0]])
    assert found.there.all()


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
    knowledge.write(folder, Ids.counted("example", n), said)
    return knowledge.read(folder)


def test_a_teacher_without_features_or_head_has_none(tmp_path: Path) -> None:
    knowledge.write(tmp_path, IDS, [(np.arange(10), LOGITS, None)])
    store = knowledge.read(tmp_path, labels=SOURCE)
    assert store.features is None
    assert store.head is None
    found = hear(store, Identity(), np.full(10, -1), [4, 1])
    np.testing.assert_array_equal(found.logits, LOGITS[[4, 1]])
    assert found.features is None


def test_the_largest_logits_by_hand(tmp_path: Path) -> None:
    """p = (.6, .2, .1, .06, .04): two are kept, and the rest have .2 / 3 each."""
    p = np.array([0.6, 0.2, 0.1, 0.06, 0.04])
    logits = np.log(p)[None] + 7
    knowledge.write(tmp_path, Ids(["one"]), [(np.array([0]), logits, None)], top_k=2)
    store = knowledge.read(tmp_path)
    assert store.logits.values.shape == (1, 2)
    found = softmax(store.logits[np.array([0])], axis=1)
    np.testing.assert_allclose(found, [[0.6, 0.2, 0.2 / 3, 0.2 / 3, 0.2 / 3]], rtol=1e-6)


def test_shared_labels_are_pairs_by_name() -> None:
    np.testing.assert_array_equal(shared_labels(("a", "b", "c"), ("c", "a")), [[0, 1], [2, 0]])
    assert shared_labels(("a",), ("b",)).shape == (0, 2)


def test_mapped_and_mass_by_hand(store: Knowledge) -> None:
    found = hear(store, Identity(), np.full(10, -1), [*range(10)])
    np.testing.assert_allclose(found.mapped, np.tile([1.0, 0.0], (10, 1)))
    np.testing.assert_allclose(found.mass, softmax(LOGITS, axis=1)[:, 1], rtol=1e-5)


def test_a_labelled_example_never_hears_its_own_label(store: Knowledge) -> None:
    """Rows 0 and 3 share the first fold: they hear a map fitted on the others alone."""
    gold = np.array([0, 0, 0, 1, 1, 1, -1, -1, -1, -1])
    found = hear(store, Leep(), gold, [*range(10)])
    label_map = through_bridge(store, IDS, Labels(gold), Leep(), TARGET).label_map
    p = softmax(LOGITS.astype(np.float64), axis=1)
    others = [1, 2, 4, 5]
    without = Leep().fit(SOURCE, TARGET, p[others], gold[others])
    np.testing.assert_allclose(found.mapped[[0, 3]], without.apply(p[[0, 3]])[0], rtol=1e-6)
    np.testing.assert_allclose(found.mapped[6:], label_map.apply(p[6:])[0], rtol=1e-6)


def test_an_only_example_of_its_label_hears_nothing(store: Knowledge) -> None:
    gold = np.array([0, 0, 0, 1, -1, -1, -1, -1, -1, -1])
    found = hear(store, Leep(), gold, [*range(10)])
    assert found.mass[3] == 0
    np.testing.assert_allclose(found.mass[[0, 1, 2]], 1)


# Several positions: sentences of 3, 1 and 2 words.

WORDS = Labels(np.array([0, -1, 1, -1, 1, 0]), np.array([0, 3, 4, 6]))


def sentences(tmp_path: Path) -> Knowledge:
    """In the store in another order, and without the second word of the first."""
    ids = Ids(["third", "first", "second"])
    offsets, numbers = np.array([0, 2, 4, 5]), np.array([0, 1, 0, 2, 0])
    said = [(np.array([4, 2, 3]), LOGITS[[4, 2, 3]], FEATURES[[4, 2, 3]])]
    said += [(np.array([0, 1]), LOGITS[:2], FEATURES[:2])]
    knowledge.write(tmp_path, ids, said, None, offsets, numbers)
    return knowledge.read(tmp_path, labels=SOURCE)


def test_positions_meet_by_example_and_number(tmp_path: Path) -> None:
    store = sentences(tmp_path)
    ids = Ids(["first", "second", "third"])
    signals = through_bridge(store, ids, WORDS, Identity(), TARGET)
    found = signals.heard(np.array([2, 2, 0, 0, 0]), np.array([0, 1, 0, 1, 2]))
    np.testing.assert_array_equal(found.there, [True, True, True, False, True])
    np.testing.assert_array_equal(found.logits[found.there], LOGITS[[0, 1, 2, 3]])
    np.testing.assert_array_equal(found.features[found.there], FEATURES[[0, 1, 2, 3]])
    assert found.mass[3] == 0  # the teacher has not seen this word
    examples, rows, gold = signals.joined.known
    assert (examples.tolist(), rows.tolist(), gold.tolist()) == (
        [0, 0, 2, 2],
        [2, 3, 0, 1],
        [0, 1, 1, 0],
    )
    np.testing.assert_array_equal(np.concatenate(list(signals.joined)), FEATURES[[2, 3, 4, 0, 1]])


def test_shuffled_sentences_are_heard_word_for_word(tmp_path: Path) -> None:
    """The first hears the third's words, which has two: the third of its words hears the first."""
    ids = Ids(["first", "second", "third"])
    signals = through_bridge(sentences(tmp_path), ids, WORDS, Identity(), TARGET)
    moved = replace(signals, order=np.array([2, 0, 1]))
    found = moved.heard(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]))
    np.testing.assert_array_equal(found.logits, LOGITS[[0, 1, 0, 2]])
    assert found.examples.tolist() == [2, 2, 2, 0]


def test_judged_logits_follow_the_fold_of_their_example(tmp_path: Path) -> None:
    def judge(value: float):  # type: ignore[no-untyped-def]
        return lambda features: np.full((len(features), 2), value)

    judges = CrossFitted(
        [judge(np.e), judge(1.0)], np.array([0, 1, 0], np.uint8), np.zeros((6, 1), bool)
    )
    logits = Judged(FEATURES, judges, np.array([0, 2, 4, 5]))
    np.testing.assert_allclose(logits[np.arange(5)], [[1, 1]] * 2 + [[0, 0]] * 2 + [[1, 1]])


def test_one_bridge_for_all_where_nothing_is_learnt(store: Knowledge) -> None:
    heard = replace(store, labels=LABELS)
    assert len(through(heard, Identity(), [0] * 5 + [-1] * 5).maps) == 1
    assert len(through(heard, Leep(), [0, 1] * 3 + [-1] * 4).maps) == 6
