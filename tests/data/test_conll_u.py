"""CoNLL-U, read by the rules of universaldependencies.org/format.html."""

from __future__ import annotations

import pytest

from ctkd_cli.data._conll_u import sentences


def line(number: str, form: str, upos: str = "_", deprel: str = "_") -> str:
    return "\t".join([number, form, "_", upos, "_", "_", "_", deprel, "_", "_"])


def test_multiword_tokens_and_empty_nodes_are_no_words() -> None:
    text = [
        "# newdoc id = d1\n", "# sent_id = s1\n", "# text = da = casa\n",
        line("1-2", "da") + "\n", line("1", "de", "ADP") + "\n", line("2", "a", "DET") + "\n",
        line("2.1", "null") + "\n", line("3", "casa", "NOUN", "root") + "\r\n",
        "\n", "\n",
        line("1", "#", "SYM"),
    ]  # fmt: skip
    (first, words), (second, more) = sentences(text)
    assert first == {"newdoc id": "d1", "sent_id": "s1", "text": "da = casa"}
    assert [(word["form"], word["upos"]) for word in words] == [
        ("de", "ADP"), ("a", "DET"), ("casa", "NOUN"),
    ]  # fmt: skip
    assert words[2]["deprel"] == "root"
    assert second == {}  # no comment of the sentence before
    assert [word["form"] for word in more] == ["#"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([line("1", "a"), "2 b NOUN"], "line 2 has 1 fields"),
        ([line("x", "a")], "line 1 starts with 'x'"),
        ([line("-1", "a")], "line 1 starts with '-1'"),
        ([line("1-2-3", "a")], "line 1 starts with '1-2-3'"),
    ],
)
def test_what_is_not_conll_u_is_told_with_its_line(text: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(sentences(text))


def test_comments_alone_are_no_sentence() -> None:
    assert list(sentences(["# a = b", "", "# c = d"])) == []
