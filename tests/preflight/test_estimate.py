"""What a run will cost: worked out by hand for a machine of known speed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ctkd_cli.experiment import load
from ctkd_cli.preflight import estimate
from ctkd_cli.runtime import devices
from ctkd_cli.settings import compose
from ctkd_cli.tasks import task


@pytest.fixture
def one_flop_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "gemm_rate", lambda: 1.0)
    monkeypatch.setattr(estimate, "EFFICIENCY", 1.0)
    monkeypatch.setattr(estimate, "STEP_OVERHEAD", 0.0)


def cost(*overrides: str) -> estimate.Estimate:
    experiment = load(compose.compose(["experiment=digits", "seeds=1", *overrides]).settings)
    source, target = (task.load(t, 1) for t in (experiment.source, experiment.target))
    return estimate.estimate(experiment, {"source": source}, target)


@pytest.mark.usefixtures("one_flop_per_second")
def test_seconds_are_flops() -> None:
    """A convnet of one block of 8 on 8 x 8 pixels: 9 * 1 * 8 weights, 2 FLOPs each per pixel."""
    forward = 2 * (9 * 1 * 8) * 64
    found = cost(
        "teacher.channels=[8]", "student.channels=[8]", "training.steps=10",
        "training.batch_size=16", "teacher.training.steps=5", "teacher.training.batch_size=4",
    )  # fmt: skip
    assert found.seconds["teacher"] == pytest.approx(3 * forward * 4 * 5)
    n_test = 180  # a fifth of the 901 images, and of each digit
    reading = found.seconds["student distilled"] - 3 * forward * 16 * 10
    assert reading == pytest.approx(forward * n_test, rel=0.05)


@pytest.mark.usefixtures("one_flop_per_second")
def test_a_teacher_that_is_adapted_learns_and_reads_once_more() -> None:
    """50 steps of 16, forward and backward, and the target's train inputs again."""
    forward = 2 * (9 * 1 * 8) * 64
    settings = ["teacher.channels=[8]", "target.labels_per_class=4"]
    found = cost(*settings, "teacher.adaptation=contrastive").seconds
    n_train = found["knowledge"] / forward
    assert found["adaptation"] == pytest.approx(forward * (50 * 16 * 3 + n_train))
    several = cost(*settings, "teacher.adaptation=[none,contrastive,fine_tune]").seconds
    assert several["adaptation"] == pytest.approx(2 * found["adaptation"])
    assert cost(*settings).seconds["adaptation"] == 0


@pytest.mark.usefixtures("one_flop_per_second")
def test_the_student_alone_reads_less_than_the_distilled_one() -> None:
    seconds = cost().seconds
    assert 0 < seconds["student alone"] < seconds["student distilled"]


@pytest.mark.usefixtures("one_flop_per_second")
def test_seeds_multiply_students_and_not_the_teacher() -> None:
    one, three = (cost(f"seeds={n}", "controls=full").seconds for n in (1, 3))
    for stage in ("teacher", "knowledge"):
        assert three[stage] == pytest.approx(one[stage])
    for stage in ("student alone", "student distilled", "control shuffled_teacher"):
        assert three[stage] == pytest.approx(3 * one[stage])
    for stage in ("control stilts", "control generic_teacher"):
        assert one[stage] < three[stage] < 3 * one[stage]


@pytest.mark.parametrize(
    ("precision", "hardware", "told"), [("fp32", True, 1), ("fp32", False, 0), ("auto", True, 0)]
)
@pytest.mark.parametrize("longer_than", [0.0, 1e9])
def test_a_long_run_is_told_of_a_quicker_precision(
    ctkd: Callable[..., tuple[int, str, str]],
    tiny_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    hardware: bool,
    told: int,
    longer_than: float,
) -> None:
    monkeypatch.setattr(devices, "multiplies_in_bf16", lambda device: hardware)
    monkeypatch.setattr(estimate, "LONG", longer_than)
    code, _, err = ctkd("run", *tiny_run, f"device.precision={precision}", "controls.rivals=[]")
    assert code == 0, err
    assert err.count("device.precision=auto") == (told if longer_than == 0 else 0)


def test_memory_grows_with_the_larger_model() -> None:
    """16 bytes for each further weight; the rest does not depend on the model."""
    few, many = cost("teacher.channels=[8]"), cost("teacher.channels=[8,4000]")
    assert many.memory - few.memory == pytest.approx(
        16 * (9 * 8 + 9 * 8 * 4000 - 9 * (16 + 16 * 32)), rel=1e-6
    )  # the student, 16 and 32 wide, is the larger one at first


def test_the_machine_is_measured() -> None:
    assert 1e8 < estimate.gemm_rate() < 1e15


@pytest.mark.usefixtures("one_flop_per_second")
def test_rivals_read_test_once_and_labels_by_each_seed() -> None:
    """A convnet of one block of 8: 9 * 8 weights, 2 FLOPs each for each of 64 pixels."""
    forward = 2 * (9 * 1 * 8) * 64
    target = task.load(load(compose.compose(["experiment=digits"]).settings).target, 1)
    one, three = (cost(f"seeds={n}", "student.channels=[8]").seconds for n in (1, 3))
    n_test, n_labelled = len(target.test), len(target.labelled)
    assert one["rival cut_body"] == pytest.approx(forward * (n_test + n_labelled))
    assert three["rival cut_body"] == pytest.approx(forward * (n_test + 3 * n_labelled))
    assert one["rival tfidf"] == 0


@pytest.mark.usefixtures("one_flop_per_second")
def test_a_selection_trains_every_arm_once_more_for_each_part() -> None:
    for seeds in ("seeds=1", "seeds=3"):
        found = cost(seeds, "select=best_arm", "controls.rivals=[]").seconds
        n = 3 if seeds == "seeds=3" else 1
        once = found["student alone"] / n + found["student distilled"] / n
        assert found["selection"] == pytest.approx(3 * once)
