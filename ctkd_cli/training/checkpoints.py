"""A training that was stopped goes on from where it was.

What transformers' Trainer saves of a training (weights, optimiser, schedule, generators of random
numbers) is kept in the cache under the key of what is being trained, whole or not at all: once a
minute, and when the user asks the run to stop. It goes when what was trained is kept.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint

from ctkd_cli.cache.entries import Cache, Sort, ailment, link_tree
from ctkd_cli.errors import Pruned, TrainingDiverged
from ctkd_cli.runs import environment
from ctkd_cli.runtime import interruption, parallel

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from ctkd_cli.runs.rundir import Event, Stage

EVERY = 60.0  # seconds of training between two checkpoints, at least
COST = 0.05  # of the time, at most, goes into checkpoints
SAVED = "saved"  # what the Trainer saved, in an entry of the cache
STORY = "story.json"  # beside it: what was told of the training, and what it goes on with


def trained(
    sort: Sort,
    key: str,
    stage: Stage,
    make: Callable[[Path, Checkpoints], None],
    again: bool = False,
) -> tuple[Path, bool]:
    """An entry of the cache whose making is, for the most part, a training, and whether it was
    there already. again: train anew, whatever is there."""
    checkpoints = Cache("checkpoints")
    try:
        folder, reused = Cache(sort).get(
            key,
            lambda folder: make(folder, Checkpoints(key, folder / "checkpoints", again)),
            on_damage=lambda entry: stage.note(f"{entry} {ailment(entry)} and is made again"),
            together=True,
            again=again,
        )
    except (TrainingDiverged, Pruned):  # it would go the same way again
        checkpoints.drop(key)
        raise
    checkpoints.drop(key)
    interruption.check()
    if reused:
        stage.reused()
    return folder, reused


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Those of one training. key: of what is being trained. scratch: a folder for the Trainer,
    which has the best weights there too; removed at the end. again: go on from none, and keep
    none."""

    def __init__(self, key: str, scratch: Path, again: bool = False) -> None:
        self._cache = Cache("checkpoints")
        self._key = key
        self._again = again
        self.scratch = parallel.share(scratch)

    def begin(self, arm: str, stage: Stage, told: list[Event]) -> str | None:
        """The Trainer's checkpoint to go on from, None to begin anew. told: what is told of the
        training, for others to fill; what had been told before is in it afterwards."""
        self._stage, self._told = stage, told
        self._goes_on_with = {"processes": parallel.world(), "code": environment.code_hash()}
        self._kept = time.monotonic()
        self._pause = EVERY
        self._asked = self._saving = False
        entry = parallel.share(self._found() if parallel.is_main() else None)
        if entry is None:
            return None
        story = json.loads((entry / STORY).read_text(encoding="utf-8"))
        if story["goes_on_with"] != self._goes_on_with:
            return None
        for event in story["events"]:
            stage.event(**event)
        if parallel.is_main():
            self._unpack(entry / SAVED)
        parallel.share(True)
        last: str = get_last_checkpoint(str(self.scratch))
        step = last.rpartition("-")[2]
        stage.note(f"{arm}: going on after step {step}, from a checkpoint")
        return last

    def _found(self) -> Path | None:
        if self._again:
            return None
        found = self._cache.find(self._key)
        if found is None and (ill := self._cache.lies_ill(self._key)):
            self._stage.note(f"{self._cache.folder / self._key} {ill}; training begins anew")
        return found

    def _unpack(self, saved: Path) -> None:
        """The Trainer names the best weights by where they lie."""
        link_tree(saved, self.scratch)
        for file in self.scratch.glob(f"*/{TRAINER_STATE_NAME}"):
            state = TrainerState.load_from_json(str(file))
            if best := state.best_model_checkpoint:
                state.best_model_checkpoint = str(self.scratch / Path(best).name)
                file.unlink()  # the cache has it too
                state.save_to_json(str(file))

    def end(self) -> None:
        """The training is over. What the cache has of it stays until its outcome is kept."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any
    ) -> None:
        self._began = time.monotonic()
        late = self._began - self._kept > self._pause
        wished = parallel.gather((interruption.requested(), late))
        self._asked = any(asked for asked, _ in wished)
        if self._asked and self._again:
            interruption.stop()
        self._saving = (self._asked or wished[0][1]) and not self._again
        args.save_only_model = not self._saving
        control.should_save |= self._saving

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any
    ) -> None:
        if not self._saving:
            return
        parallel.gather(None)  # each process has saved what is its own
        self._cache.get(self._key, self._fill, again=True)
        self._kept = time.monotonic()
        self._pause = max(EVERY, (self._kept - self._began) / COST)
        if self._asked:
            self._stage.note(f"a checkpoint is kept, after step {state.global_step}")
            interruption.stop()

    def _fill(self, folder: Path) -> None:
        link_tree(self.scratch, folder / SAVED)
        story = {"goes_on_with": self._goes_on_with, "events": self._told}
        (folder / STORY).write_text(json.dumps(story), encoding="utf-8")
