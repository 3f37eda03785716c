"""A training that was stopped goes on from where it was.

What transformers' Trainer saves of a training (weights, optimiser, schedule, generators of random
numbers) is kept in the cache under the key of what is being trained, whole or not at all: once a
minute, and when the user asks the run to stop. It goes when the training ends.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint

from ctkd_cli import interruption, parallel
from ctkd_cli.cache import Cache, link_tree

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from ctkd_cli.rundir import Event, Stage

EVERY = 60.0  # seconds of training between two checkpoints, at least
COST = 0.05  # of the time, at most, goes into checkpoints
SAVED = "saved"  # what the Trainer saved, in an entry of the cache
STORY = "story.json"  # beside it: what was told of the training, and how many processes train


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Those of one training. key: of what is being trained. scratch: a folder for the Trainer,
    which has the best weights there too; removed at the end. again: begin anew, whatever is
    there."""

    def __init__(self, key: str, scratch: Path, again: bool = False) -> None:
        self._cache = Cache("checkpoints")
        self._key = key
        self._again = again
        self.scratch = parallel.share(scratch)

    def begin(self, arm: str, stage: Stage, told: list[Event]) -> str | None:
        """The Trainer's checkpoint to go on from, None to begin anew. told: what is told of the
        training, for others to fill; what had been told before is in it afterwards."""
        self._stage, self._told = stage, told
        self._began = time.monotonic()
        self._pause = EVERY
        self._asked = False
        entry = parallel.share(None if self._again else self._found())
        if entry is None:
            return None
        story = json.loads((entry / STORY).read_text(encoding="utf-8"))
        if story["processes"] != parallel.world():
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
        entry = self._cache.folder / self._key
        found = self._cache.find(self._key)
        if found is None and os.path.lexists(entry):
            self._stage.note(f"{entry} is damaged; training begins anew")
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
        """The training is over: there is nothing to go on from."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        if parallel.is_main():
            self._cache.drop(self._key)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any
    ) -> None:
        late = time.monotonic() - self._began > self._pause and state.global_step < state.max_steps
        self._asked, due = parallel.share((interruption.requested(), late))
        self._saving = self._asked or due
        args.save_only_model = not self._saving
        control.should_save |= self._saving

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any
    ) -> None:
        if not self._saving:
            return
        began = time.monotonic()
        parallel.gather(None)  # each process has saved what is its own
        self._cache.get(self._key, self._fill, again=True)
        self._began = time.monotonic()
        self._pause = max(EVERY, (self._began - began) / COST)
        if self._asked:
            self._stage.note(f"a checkpoint is kept, after step {state.global_step}")
            interruption.stop()

    def _fill(self, folder: Path) -> None:
        link_tree(self.scratch, folder / SAVED)
        story = {"processes": parallel.world(), "events": self._told}
        (folder / STORY).write_text(json.dumps(story), encoding="utf-8")
