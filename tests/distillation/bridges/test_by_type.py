"""Maps between tags, worked out by hand from maps between their types."""

from __future__ import annotations

import numpy as np
import pytest

from ctkd_cli.distillation.bridges._by_type import ByType, by_type
from ctkd_cli.distillation.bridges.identity import Identity
from ctkd_cli.distillation.bridges.leep import Leep
from ctkd_cli.distillation.bridges.manual import Manual
from ctkd_cli.errors import InputError

FINE = ("B-city", "B-river", "I-city", "I-river", "O")
COARSE = ("B-place", "I-place", "O")
TO_PLACE = Manual(name="manual", map={"city": "place", "river": "place", "O": "O"})


def parts(labels: tuple[str, ...]) -> list[tuple[str, str]]:
    return [("", tag) if "-" not in tag else (tag[0], tag[2:]) for tag in labels]


def between(bridge, source, target):  # type: ignore[no-untyped-def]
    return by_type(bridge, parts(source), parts(target))


def test_fine_to_coarse_and_the_prefixes_follow() -> None:
    found = between(TO_PLACE, FINE, COARSE).fit(FINE, COARSE)
    expected = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(found.weights, expected)


def test_coarse_to_fine_is_learnt_from_what_types_have_together() -> None:
    """Three words: the teacher says place of a city's two words and of none of a river's."""
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]])
    gold = np.array([0, 2, 4])  # B-city, I-city, O
    found = between(Leep(name="leep"), COARSE, FINE).fit(COARSE, FINE, probabilities, gold)
    by_types = Leep(name="leep").fit(
        ("place", "O"),
        ("city", "river", "O"),
        np.array([[1.0, 0], [1, 0], [0, 1]]),
        np.array([0, 0, 2]),
    )
    city, river, none = by_types.weights[0]
    np.testing.assert_allclose(found.weights[0], [city, river, 0, 0, none])
    np.testing.assert_allclose(found.weights[1], [0, 0, city, river, none])
    # From O, begin and inside share by their gold positions and one each: 2 to 2, 1 to 1.
    from_o = by_types.weights[1]
    np.testing.assert_allclose(
        found.weights[2], [from_o[0] / 2, from_o[1] / 2, from_o[0] / 2, from_o[1] / 2, from_o[2]]
    )


def test_plain_tags_lead_to_entities_and_back() -> None:
    """NOUN -> city, begin and inside as often as they are gold: 3 of 4 begin."""
    to_city = Manual(name="manual", map={"NOUN": "city", "VERB": "O"})
    plain, entities = ("NOUN", "VERB"), ("B-city", "I-city", "O")
    gold = np.array([0, 0, 2])
    found = between(to_city, plain, entities).fit(plain, entities, np.eye(3, 2), gold)
    np.testing.assert_allclose(found.weights, [[3 / 4, 1 / 4, 0], [0, 0, 1]])
    back = Manual(name="manual", map={"city": "NOUN", "O": "VERB"})
    again = between(back, entities, plain).fit(entities, plain)
    np.testing.assert_array_equal(again.weights, [[1, 0], [1, 0], [0, 1]])


def test_a_type_that_leads_nowhere_leaves_its_tags_unmapped() -> None:
    some = between(Manual(name="manual", map={"city": "place"}), FINE, COARSE).fit(FINE, COARSE)
    assert some.unmapped == ["B-river", "I-river", "O"]


def test_types_without_a_namesake_are_refused_by_their_names() -> None:
    with pytest.raises(InputError, match="city"):
        between(Identity(name="identity"), ("B-city", "I-city"), ("B-x", "I-x")).fit(
            ("B-city", "I-city"), ("B-x", "I-x")
        )


def test_labels_without_prefixes_need_nothing_of_this() -> None:
    bridge = Identity(name="identity")
    assert between(bridge, ("a", "b"), ("b",)) is bridge
    assert isinstance(between(bridge, ("B-a",), ("b",)), ByType)
