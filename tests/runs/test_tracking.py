"""`tracker=`: what a tracker is told."""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

Ctkd = Callable[..., tuple[int, str, str]]


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """TensorBoard's event files, read by their format: length, checksum, message, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, dict[int, float]] = {}
    for file in folder.glob("events.*"):
        data, place = file.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            for value in event.summary.value:
                if value.WhichOneof("value") == "simple_value":
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_tensorboard_hears_of_every_arm_and_seed(ctkd: Ctkd, tiny_run: list[str]) -> None:
    assert (
        ctkd("run", *tiny_run, "tracker=tensorboard", "seeds=2", "teacher.seed=3", "reuse=false")[0]
        == 0
    )
    (run,) = Path("outputs").iterdir()
    students = {f"student-{arm}-seed-{n}" for arm in ("alone", "distilled") for n in (1, 2)}
    assert {path.name for path in (run / "tensorboard").iterdir()} == {"teacher", *students}
    import json

    said = scalars(run / "tensorboard" / "student-distilled-seed-2")
    lines = map(json.loads, (run / "events.jsonl").read_text().splitlines())
    steps = {
        event["step"]: event["kd"]
        for event in lines
        if (event["event"], event.get("arm"), event.get("seed")) == ("step", "distilled", 2)
    }
    assert said["train/kd"].keys() >= steps.keys()
    for step, kd in steps.items():
        assert said["train/kd"][step] == pytest.approx(kd, rel=1e-5)
    assert "train/learning_rate" in said


def test_by_default_nothing_is_told(ctkd: Ctkd, tiny_run: list[str]) -> None:
    assert ctkd("run", *tiny_run, "teacher.seed=3")[0] == 0
    assert not list(Path("outputs").glob("*/tensorboard"))


@pytest.mark.parametrize("tracker", ["mlflow", "wandb", "trackio"])
@pytest.mark.skipif(bool(find_spec("wandb")), reason="trackers are installed here")
def test_a_tracker_that_is_not_installed_is_refused(ctkd: Ctkd, tracker: str) -> None:
    code, _, err = ctkd("run", "experiment=smoke", f"tracker={tracker}")
    assert code == 2
    assert f"pip install {tracker}" in err
    assert not Path("outputs").exists()


def test_an_unknown_tracker_is_refused(ctkd: Ctkd) -> None:
    code, _, err = ctkd("run", "tracker=tensorbord")
    assert code == 2
    assert "tensorboard" in err
