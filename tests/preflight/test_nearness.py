"""How near a source's texts are to the target's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ctkd_cli.preflight.nearness import similarity

Ctkd = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (["goal striker"], ["striker goal"], 1.0),
        (["goal striker"], ["chip software"], 0.0),
        # each word stands in one text of two but for `goal`, which is in both: idf 1 and
        # 1 + ln(3 / 2) = 1.405; the cosine of (1, 1.405, 0) and (1, 0, 1.405) is 1 / 2.975
        (["goal striker"], ["goal chip"], 1 / 2.97545),
        (["the of and"], ["the"], 0.0),
        ([""], [""], 0.0),
    ],
)
def test_similarity(first: list[str], second: list[str], expected: float) -> None:
    assert similarity(first, second) == pytest.approx(expected, abs=1e-4)


def test_check_puts_the_nearest_source_first(ctkd: Ctkd, tmp_path: Path) -> None:
    rows = {
        "news": [("striker scores a goal", "sport"), ("chip and software", "tech")],
        "shop": [("late parcel came broken", "bad"), ("lovely parcel", "good")],
        "target": [("a goal by the striker", "ball"), ("software on a chip", "code")],
    }
    for name, some in rows.items():
        lines = [f"{text} {n},{label}" for n in range(12) for text, label in some]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    sources = tmp_path / "mine" / "task"
    sources.mkdir(parents=True)
    for name in ("news", "shop"):
        (sources / f"{name}.yaml").write_text(
            f"kind: text\nreader: files\ntrain: {tmp_path / name}.csv\n"
        )
    settings = [
        "check", "--config-dir", str(tmp_path / "mine"), "source=[shop,news]", "target=files",
        f"target.train={tmp_path}/target.csv",
    ]  # fmt: skip
    code, out, err = ctkd(*settings)
    assert code == 0, err
    assert out.index("news: near") < out.index("shop: far")
    code, out, _ = ctkd(*settings, "--json")
    assert list(json.loads(out)["nearness"]) == ["news", "shop"]
