"""What is told of a training, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ctkd_cli.runtime import memory

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from ctkd_cli.runs.rundir import Stage
    from ctkd_cli.training.budget import Budget

FORGET = 20  # steps after which pages of mapped files are let go
LOGGED = 50  # how many points of a training's curve are kept


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Passes what happens in training on to the run's stage."""

    def __init__(self, stage: Stage, arm: str, budget: Budget, tracks: bool) -> None:
        self._stage = stage
        self.arm = arm
        self._budget = budget
        self._every = max(1, budget.ends // LOGGED)
        self._tracks = tracks
        self.figures: dict[str, float] = {}  # of the last step

    def is_due(self, step: int) -> bool:
        return step % self._every == 0 or step in (1, self._budget.ends)

    def add(self, figures: dict[str, float], lambda_: float | None) -> None:
        self.figures = {**figures, **({} if lambda_ is None else {"lambda": lambda_})}

    def validated(self, step: int, metrics: Mapping[str, float]) -> None:
        named = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        self._stage.event("validated", arm=self.arm, step=step, **named)

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        step, budget = state.global_step, self._budget
        budget.add(self.figures["loss"])
        self._stage.progress(step, budget.ends, **self.figures)
        if step % FORGET == 0:
            memory.forget_pages()
        if self.is_due(step):
            scheduler = kwargs.get("lr_scheduler")
            rate = {"learning_rate": scheduler.get_last_lr()[0]} if scheduler else {}
            self._stage.event(
                "step", arm=self.arm, step=step, steps=budget.ends, **self.figures, **rate
            )
            control.should_log = self._tracks
        if step >= budget.ends and budget.why:  # as the Trainer does with the last step
            self._stage.event("ended", arm=self.arm, step=step, why=budget.why)
            control.should_training_stop = True
            control.should_evaluate |= args.load_best_model_at_end
            control.should_save |= args.load_best_model_at_end
