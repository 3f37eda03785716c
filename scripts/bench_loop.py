"""How much of the machine reaches the student? FLOP/s of training beside the best matrix product.

    .venv/bin/python scripts/bench_loop.py              # the default student, and BERT-base
    .venv/bin/python scripts/bench_loop.py --student base --rounds 3 --steps 10
    .venv/bin/python scripts/bench_loop.py --loss kl dkd sp     # each beside student-alone
    .venv/bin/python scripts/bench_loop.py --variants --threads 1
    .venv/bin/python scripts/bench_loop.py table

Everything is measured in turns, in one process: a matrix product (the best of several shapes),
then a training of each sort, round after round; medians. FLOPs are counted from shapes, forward
and backward (three times forward), on real tokens only: padding counts as waste. A training is
`fit`, as runs use it, with all labels of the target, so that student-alone and distilled read the
same. `--variants` adds what might help a plain loop: torch.compile, and models without dropout.

Lines go to docs/bench_loop.jsonl, with the machine; `table` prints them as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from ctkd_cli.arms import sources as source_side
from ctkd_cli.arms.bridged_knowledge import apply_bridge
from ctkd_cli.arms.encoded_task import EncodedTask
from ctkd_cli.arms.keys import target_pool
from ctkd_cli.distillation.terms import Distillation
from ctkd_cli.experiment import Experiment, of_overrides
from ctkd_cli.runs import console, environment
from ctkd_cli.runs.rundir import RunDirectory
from ctkd_cli.runtime import devices
from ctkd_cli.tasks import task
from ctkd_cli.training import batches, cpu_kernels, vocabulary
from ctkd_cli.training.checkpoints import Checkpoints

RESULTS = Path("docs/bench_loop.jsonl")
LONG = [
    "source=bbc_articles",
    "target=bbc_headlines",
    "target.part=article",
    "target.max_length=128",
]
STUDENTS = {
    "default": [],
    "base": [
        "student=huggingface", "student.model=${teacher.model}", "student.weights=random",
        "student.config={hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, "
        "intermediate_size: 3072}",
    ],
}  # fmt: skip
SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 768, 3072), (4096, 384, 1536))
ATTENTION = {"attention_probs_dropout_prob": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain loop, compiled": {"compiled": True},
    "plain loop, no attention dropout": {"config": ATTENTION},
    "plain loop, no dropout": {"config": {**ATTENTION, "hidden_dropout_prob": 0.0}},
}
WARM_UP = 2  # steps that are not counted


class Clock(console.SilentDisplay):
    """A display that only notes when each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def progress(self, title: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        self.times.append(time.perf_counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", nargs="?", default="run", choices=["run", "table"])
    parser.add_argument("--student", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument("--loss", nargs="+", default=["probe_kl"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    if options.verb == "table":
        print_table()
        return
    console.hush_libraries()
    if options.threads:
        torch.set_num_threads(options.threads)
    for student in options.student:
        for precision in options.precision:
            bench = Bench(student, precision, options.loss, options.steps)
            found = bench.run(options.rounds, VARIANTS if options.variants else {})
            line = {
                "student": student, "precision": precision, "threads": torch.get_num_threads(),
                "cpu": environment.describe()["hardware"]["cpu"], **found,
            }  # fmt: skip
            with RESULTS.open("a") as stream:
                stream.write(json.dumps(line) + "\n")
            print(json.dumps(line, indent=1), flush=True)


class Bench:
    """One student in one precision: what is measured in turns."""

    def __init__(self, student: str, precision: str, losses: list[str], steps: int) -> None:
        overrides = [
            *LONG, *STUDENTS[student], f"device.precision={precision}", "device=cpu",
            f"training.steps={steps}", "target.labels_per_class=null",
        ]  # fmt: skip
        self.steps = steps
        self.experiments = {loss: of_overrides([*overrides, f"loss={loss}"]) for loss in losses}
        self.experiment: Experiment = next(iter(self.experiments.values()))
        self.clock = Clock()
        self.rundir = RunDirectory(Path(tempfile.mkdtemp()), self.clock)
        self.target = task.load(self.experiment.target, 1)
        sources = source_side.load(self.experiment)
        pool = target_pool(self.target)
        asked = source_side.ask_teachers(self.experiment, sources, pool, self.rundir)
        knowledge = [said for _, said in asked.values()]
        self.terms = {
            loss: apply_bridge(each, self.target, knowledge).terms
            for loss, each in self.experiments.items()
        }
        self.encoded = EncodedTask.of(self.target, self.experiment.student, self.experiment.device)
        self.train = self.encoded.splits["train"]

    def run(self, rounds: int, variants: Mapping[str, dict[str, Any]]) -> dict[str, object]:
        sorts: dict[str, Callable[[], float]] = {
            "plain loop": self.plain,
            "plain loop, our kernels": self.plain_with_our_kernels,
            **{name: partial(self.plain, **how) for name, how in variants.items()},
            "alone": self.alone,
            "alone, whole embedding": self.whole_embedding,
            **{f"distilled {loss}": partial(self.distilled, loss) for loss in self.terms},
        }
        seconds: dict[str, list[float]] = {name: [] for name in sorts}
        gemm: dict[tuple[int, int, int], list[float]] = {shape: [] for shape in SHAPES}
        for _ in range(rounds):
            for name, measure in sorts.items():
                for shape, rates in gemm.items():
                    rates.append(gemm_rate(shape, self.dtype))
                seconds[name].append(measure())
        best = max(float(np.median(rates)) for rates in gemm.values())
        flops, padding = self.flops()
        alone = float(np.median(seconds["alone"]))
        return {
            "gemm_gflops": best / 1e9,
            "padding_share": padding,
            "seconds": {name: float(np.median(each)) for name, each in seconds.items()},
            "of_gemm": {
                name: flops / float(np.median(each)) / best for name, each in seconds.items()
            },
            "of_alone": {
                name: float(np.median(np.array(each) / np.array(seconds["alone"])))
                for name, each in seconds.items()
            },
            "step_ms": 1000 * alone / (self.steps - WARM_UP),
        }

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.experiment.device.precision == "bf16" else torch.float32

    def plan(self) -> batches.Plan:
        rows = np.arange(len(self.target.train))
        return batches.plan(rows, rows[:0], self.train.lengths, self.experiment.training, 1)

    def flops(self) -> tuple[float, float]:
        """Of the counted steps: forward and backward on real tokens; and the share of padding."""
        config = self.build().config
        h, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
        plan, lengths = self.plan(), self.train.lengths
        real = lengths[plan.labelled[WARM_UP:]].astype(float)
        forward = layers * (real.sum() * (8 * h**2 + 4 * h * inner) + 4 * h * (real**2).sum())
        return 3 * forward, batches.padding_share(plan, lengths)

    def alone(self) -> float:
        return self._fit(None)

    def distilled(self, loss: str) -> float:
        experiment = self.experiments[loss]
        return self._fit(Distillation(self.terms[loss], experiment.lambda_, experiment.schedule))

    def whole_embedding(self) -> float:
        with mock.patch.object(vocabulary, "WORTH_IT", 0.0):
            return self._fit(None)

    def build(self, config: Mapping[str, Any] | None = None) -> Any:
        settings: Any = self.experiment.student
        changed = settings.model_copy(update={"config": {**settings.config, **(config or {})}})
        return changed.build(self.target.labels, self.target.settings).train()

    def _fit(self, distillation: Distillation | None) -> float:
        loaded = self.encoded.load(self.build())
        self.clock.times.clear()
        with (
            tempfile.TemporaryDirectory() as scratch,
            self.rundir.stage("student", "bench") as stage,
        ):
            self.encoded.fit(
                loaded, self.experiment.training, 1, "bench", stage,
                Checkpoints("bench", Path(scratch) / "checkpoints", again=True), distillation,
            )  # fmt: skip
        return self.clock.times[-1] - self.clock.times[WARM_UP - 1]

    def plain_with_our_kernels(self) -> float:
        with cpu_kernels.replaced(torch.device("cpu")):
            return self.plain()

    def plain(self, compiled: bool = False, config: Mapping[str, Any] | None = None) -> float:
        """The same steps as anyone would write them: batches of like length, fused AdamW."""
        model = self.build(config)
        step_of = torch.compile(model) if compiled else model
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        labels = torch.from_numpy(np.array(self.target.train.labels.values, np.int64))
        for step, rows in enumerate(self.plan()):
            if step == WARM_UP:
                began = time.perf_counter()
            batch = self.target.settings.collate(
                [self.train.rows[row] for row in rows], self.encoded.preprocessor
            )
            with devices.autocast(self.experiment.device, torch.device("cpu")):
                logits = step_of(**batch.inputs).logits
            torch.nn.functional.cross_entropy(logits.float(), labels[rows]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
        return time.perf_counter() - began


def gemm_rate(shape: tuple[int, int, int], dtype: torch.dtype) -> float:
    """FLOP/s of a matrix product."""
    rows, inner, columns = shape
    first, second = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    first @ second
    began = time.perf_counter()
    for _ in range(3):
        first @ second
    return 3 * 2.0 * rows * inner * columns / (time.perf_counter() - began)


def print_table() -> None:
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    print(
        "| student | precision | threads | what | of the best GEMM | of student-alone | padding |"
    )
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        for name, share in line["of_gemm"].items():
            setting = f"{line['student']} | {line['precision']} | {line['threads']}"
            padding = f"{100 * line['padding_share']:.1f} %"
            print(
                f"| {setting} | {name} | {share:.2f} | {line['of_alone'][name]:.2f} | {padding} |"
            )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
