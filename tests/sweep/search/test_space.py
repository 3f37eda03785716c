"""What is searched, from what was typed."""

from __future__ import annotations

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ctkd_cli.errors import InputError
from ctkd_cli.sweep.search.space import Space


@pytest.mark.parametrize(
    ("value", "distribution"),
    [
        ("interval(0, 4)", FloatDistribution(0, 4)),
        ("tag(log, interval(0.1, 10))", FloatDistribution(0.1, 10, log=True)),
        ("int(interval(2, 9))", IntDistribution(2, 9)),
        ("range(2, 9, 2)", IntDistribution(2, 8, step=2)),
        ("range(1, 4)", IntDistribution(1, 3)),  # without its end, as everywhere in Hydra
        ("range(0, 1, 0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("choice(0.5, 1, 2)", CategoricalDistribution(["0.5", "1", "2"])),
        ("0.5,1", CategoricalDistribution(["0.5", "1"])),
    ],
)
@pytest.mark.parametrize("where", ["command line", "yaml"])
def test_ranges_as_hydra_writes_them(
    value: str, distribution: BaseDistribution, where: str
) -> None:
    if where == "yaml":
        space = Space.read(["seed=3"], {"lambda": value})
    else:
        space = Space.read([f"lambda={value}", "seed=3"], {})
    (dimension,) = space.dimensions
    assert dimension.key == "lambda"
    assert dimension.distribution == distribution
    assert space.fixed == ("++seed=3",)


def test_groups_and_glob() -> None:
    space = Space.read(["loss=choice(hint, kl)", "schedule=glob(*)"], {})
    loss, schedule = space.dimensions
    assert loss.distribution == CategoricalDistribution(["hint", "kl"])
    assert schedule.distribution == CategoricalDistribution(
        ["constant", "cosine", "linear", "warmup"]
    )
    assert loss.corners() == ["loss=hint", "loss=kl"]


def test_the_command_line_wins_over_the_yaml() -> None:
    space = Space.read(
        ["lambda=2"], {"lambda": "interval(0, 1)", "seed": "range(1, 4)", "name": "x"}
    )
    assert [dimension.key for dimension in space.dimensions] == ["seed"]
    assert space.fixed == ("++lambda=2", "++name=x")


def test_corners_show_every_end_and_choice_once() -> None:
    space = Space.read(["lambda=interval(0, 4)", "loss=hint,kl,sp"], {})
    assert list(space.corners()) == [
        ["++lambda=0", "loss=hint"],
        ["++lambda=4", "loss=hint"],
        ["++lambda=0", "loss=kl"],
        ["++lambda=0", "loss=sp"],
    ]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as error:
        Space.read(
            ["lambda=tag(log, interval(0, 1))", "loss=choice(hint, hnit)", "seed=range(3, 1)"],
            {"training.steps": "int(interval(9, 2))"},
        )
    text = str(error.value)
    assert {problem.where for problem in error.value.problems} == {
        "lambda", "loss", "seed", "training.steps"
    }  # fmt: skip
    assert "did you mean hint?" in text
    assert "LOW above 0" in text
    assert "++" not in text
