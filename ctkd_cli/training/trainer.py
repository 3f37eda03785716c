"""The loop. Teacher and student learn in the same one: transformers' Trainer, with our batches, our
loss and our validation. A variation is a `TrainingSet`, never a copy of the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from ctkd_cli.errors import TrainingDiverged
from ctkd_cli.evaluation.metrics import on_validation
from ctkd_cli.runs.tracking import PROJECT
from ctkd_cli.runtime import devices, interruption, parallel
from ctkd_cli.tasks.imbalance import class_weights
from ctkd_cli.training import batches, cpu_kernels, inference
from ctkd_cli.training.budget import Budget
from ctkd_cli.training.contrastive import plan_of_pairs
from ctkd_cli.training.inference import LoadedModel, positions_of
from ctkd_cli.training.objective import Objective
from ctkd_cli.training.reporter import Reporter
from ctkd_cli.training.vocabulary import restricted

if TYPE_CHECKING:
    from ctkd_cli.distillation.terms import Distillation
    from ctkd_cli.runs.rundir import Event, Stage
    from ctkd_cli.runtime.devices import Device
    from ctkd_cli.tasks.imbalance import ClassWeights
    from ctkd_cli.tasks.kinds.base import Encoded
    from ctkd_cli.tasks.metric import Metric
    from ctkd_cli.tasks.positions import Labels
    from ctkd_cli.training.checkpoints import Checkpoints
    from ctkd_cli.training.settings import Training

NAMED = 64  # ids of a batch that a message names
REMEDY = "try a smaller training.learning_rate or lambda"


@dataclass(frozen=True)
class TrainingSet:
    """What a model learns from: N examples as it reads them, their labels, and what it is taught
    beside them. names: of the labels. validation: to select weights on. ids: of the N examples, to
    tell which ones training broke on. pairs: whether features learn from pairs of labelled
    examples, in place of the classifier from single ones."""

    encoded: Encoded
    labels: Labels
    names: Sequence[str]
    distillation: Distillation | None = None
    validation: tuple[Encoded, Labels] | None = None
    ids: Sequence[str] = ()
    pairs: bool = False

    def class_weights(self, how: ClassWeights) -> np.ndarray | None:
        """[K], None: all alike."""
        _, _, gold = self.labels.known()
        return class_weights(gold, len(self.names), how, self.labels.offsets is None)

    def tokens(self, loaded: LoadedModel) -> np.ndarray | None:
        """The ids that the model will read while it learns; None where inputs are no tokens."""
        read = [self.encoded, *([self.validation[0]] if self.validation else [])]
        found = [loaded.kind.tokens(encoded, loaded.preprocessor) for encoded in read]
        known = [tokens for tokens in found if tokens is not None]
        return reduce(np.union1d, known) if known else None


def fit(
    loaded: LoadedModel,
    data: TrainingSet,
    training: Training,
    seed: int,
    arm: str,
    stage: Stage,
    checkpoints: Checkpoints,
) -> list[Event]:
    """Train a model in place, from the beginning or from a checkpoint; what was told of it.

    Raises TrainingDiverged when the loss becomes NaN or infinite; KeyboardInterrupt when the user
    asks for an end, after a step, when its checkpoint is kept.
    """
    model, device = loaded.model, loaded.device
    known = data.labels.labelled
    labelled, unlabelled = np.flatnonzero(known), np.flatnonzero(~known)
    if data.pairs:
        gold, steps = data.labels.values[labelled], batches.n_steps(training, len(known))
        plan = plan_of_pairs(gold, labelled, steps, training.batch_size, seed)
    else:
        plan = batches.plan(labelled, unlabelled, data.encoded.lengths, training, seed)
    if data.distillation is None:
        plan = plan.labelled_only()
    objective: nn.Module = Objective(
        loaded, data.distillation, training.label_smoothing, data.pairs,
        data.class_weights(training.class_weights),
    )  # fmt: skip
    if parallel.world() > 1 and next(model.parameters()).is_cuda:
        objective = nn.SyncBatchNorm.convert_sync_batchnorm(objective)  # type: ignore[no-untyped-call]
    metric = loaded.kind.metric(data.names)
    selects = data.validation is not None and training.select == "best"
    arguments = _arguments(training, device, seed, len(plan), metric, selects)
    with (
        stage.remembered() as events,
        restricted(model, data.tokens(loaded)),
        stage.tracked() as (tracker, name),
    ):
        last = checkpoints.begin(arm, stage, events)
        if last is None:
            padding = round(batches.padding_share(plan, data.encoded.lengths), 4)
            stage.event("batches", arm=arm, steps=len(plan), padding_share=padding)
        arguments.output_dir = str(checkpoints.scratch)
        arguments.run_name = name
        arguments.report_to = [] if tracker == "none" else [tracker]
        arguments.project = PROJECT
        budget = Budget(training, len(plan))
        if last is not None:
            budget.go_on(Path(last))
        trainer = _Trainer(
            objective,
            arguments,
            loaded=loaded,
            data=data,
            plan=plan,
            report=Reporter(stage, arm, budget, tracks=tracker != "none"),
            checkpoints=checkpoints,
            budget=budget,
        )
        if parallel.world() > 1:  # each process has dropout of its own
            torch.manual_seed(seed + parallel.rank())
        with interruption.patient(), cpu_kernels.replaced(loaded.where):
            trainer.train(resume_from_checkpoint=last)
        if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
            told = f"{arm}: the last step left weights that are not finite; {REMEDY}"
            raise TrainingDiverged(told)
        parallel.share_weights(objective)
    checkpoints.end()
    return events


class _Trainer(Trainer):  # type: ignore[misc]
    """transformers' Trainer, with our plan of batches, our loss and our validation."""

    def __init__(
        self,
        objective: nn.Module,
        arguments: TrainingArguments,
        *,
        loaded: LoadedModel,
        data: TrainingSet,
        plan: batches.Plan,
        report: Reporter,
        checkpoints: Checkpoints,
        budget: Budget,
    ) -> None:
        self._loaded = loaded
        self._data = data
        self._plan = plan
        self._report = report
        self._budget = budget
        super().__init__(
            objective, arguments, train_dataset=range(len(data.labels)),
            callbacks=[report, checkpoints], eval_dataset=data.validation,
        )  # fmt: skip
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Tensors that share their storage, as tied embeddings do, are saved each for itself."""
        held, seen = {}, set()
        for name, tensor in (state_dict or self.model.state_dict()).items():
            held[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
            seen.add(tensor.data_ptr())
        super()._save(output_dir, held)
        if output_dir is not None and parallel.is_main():
            self._budget.save(Path(output_dir))

    def create_scheduler(self, *args: Any, **kwargs: Any) -> LambdaLR:
        """The budget's, which may come to an end before the last step that was planned."""
        if self.lr_scheduler is None:
            self.lr_scheduler: Any = LambdaLR(self.optimizer, lambda step: self._budget.rate(step))
        return self.lr_scheduler

    def get_train_dataloader(self) -> DataLoader[Any]:
        loader: DataLoader[Any] = DataLoader(
            range(len(self._data.labels)),  # type: ignore[arg-type]
            batch_sampler=self._plan,
            collate_fn=self._collate,
        )
        if parallel.world() > 1:  # each process takes its own part of every batch
            return loader
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def _collate(self, rows: Sequence[int]) -> dict[str, Any]:
        """What Objective.forward takes of a batch."""
        data = self._data
        own = [data.encoded.rows[row] for row in parallel.own_rows(rows)]
        read = self._loaded.kind.collate(own, self._loaded.preprocessor)
        examples, numbers = positions_of(data.encoded, np.asarray(rows))
        counts, teacher = None, None
        if data.encoded.offsets is not None:
            counts = np.diff(data.encoded.offsets)[rows].tolist()
        if data.distillation is not None:
            teacher = data.distillation.terms.at(examples, numbers)
        labels = data.labels.of(examples, numbers).astype(np.int64)
        return {
            "labels": torch.from_numpy(labels),
            "inputs": dict(read.inputs),
            "where": read.where,
            "counts": counts,
            "teacher": teacher,
        }

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        lambda_ = self._lambda()
        terms = model(
            **inputs,
            lambda_=lambda_,
            measure=self._report.is_due(self.state.global_step + 1),
        )
        figures = {name: float(term.detach()) for name, term in terms.items()}
        self._report.add(figures, lambda_ if self._data.distillation else None)
        self._require_finite(figures)
        return (terms["loss"], terms) if return_outputs else terms["loss"]

    def _require_finite(self, figures: Mapping[str, float]) -> None:
        broken = [name for name, value in figures.items() if not np.isfinite(value)]
        if not broken:
            return
        step = self.state.global_step
        ids = self._data.ids or range(len(self._data.labels))
        names = [str(ids[row]) for row in next(islice(self._plan, step, None))]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise TrainingDiverged(
            f"{self._report.arm}, step {step + 1}: {', '.join(broken)} not finite "
            f"({dict(figures)}); examples of this batch: {', '.join(names[:NAMED])}{more}; {REMEDY}"
        )

    def _lambda(self) -> float:
        distillation = self._data.distillation
        if distillation is None:
            return 0.0
        progress = self.state.global_step / max(1, self._budget.ends - 1)
        return distillation.lambda_ * distillation.schedule(min(1.0, progress))

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """To trackers, with the terms of the objective."""
        super().log({**logs, **self._report.figures}, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validation, through the same pass as every other prediction."""
        assert self._data.validation is not None
        encoded, labels = self._data.validation
        logits = inference.read(self._loaded, encoded, labels.offsets)
        scores = on_validation(self._loaded.kind, self._data.names, labels, logits)
        metrics = {f"eval_{name}": value for name, value in scores.items()}
        self._report.validated(self.state.global_step, metrics)
        after = self.callback_handler.on_evaluate
        self.control: Any = after(self.args, self.state, self.control, metrics)
        return metrics


def _arguments(
    training: Training, device: Device, seed: int, steps: int, metric: Metric, selecting: bool
) -> TrainingArguments:
    """Our settings in the Trainer's words. selecting: the weights that are best by the metric on
    validation are kept."""
    every = max(1, steps // training.evaluations)
    arguments = TrainingArguments(
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        seed=seed,
        data_seed=seed,
        use_cpu=devices.resolve(device).type == "cpu",
        bf16=devices.precision(device) == "bf16",
        eval_strategy="steps" if selecting else "no",
        eval_steps=every,
        save_strategy="steps" if selecting else "no",
        save_steps=every,
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=selecting,
        metric_for_best_model=metric.name if selecting else None,
        greater_is_better=metric.higher_is_better if selecting else None,
        logging_strategy="no",
        log_level_replica="error",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=devices.resolve(device).type == "cuda",
    )
    arguments._n_gpu = 1  # one process uses one GPU; several need torchrun
    return arguments
