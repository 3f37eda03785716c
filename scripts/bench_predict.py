"""How fast does a student label? `ctkd predict`'s own pass beside ONNX Runtime on the same student.

    pip install onnx onnxruntime onnxscript           # beside ctkd
    python scripts/bench_predict.py                   # the default student, headlines and articles
    python scripts/bench_predict.py --texts headlines --budget 1024 2048 4096 --rounds 3
    python scripts/bench_predict.py table

Encoded texts go in, logits come out, in one process and with the same threads; everything in turns,
round after round; medians. `N tokens` is `ctkd`'s pass with batches of at most N tokens, longest
first (2,048 is what it uses on a CPU), `64 rows` the same with 64 texts in each batch. ONNX Runtime
gets the exported model with dynamic axes, and the same batches; `of onnx` is against its best.
Weights are those before training: they do not change the time.

Lines go to docs/bench_predict.jsonl, with the machine; `table` prints them as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from ctkd_cli.experiment import of_overrides
from ctkd_cli.runs import console, environment
from ctkd_cli.runtime.devices import Device
from ctkd_cli.tasks import task
from ctkd_cli.training import inference

RESULTS = Path("docs/bench_predict.jsonl")
TEXTS = {
    "headlines": ["target=bbc_headlines_5"],
    "articles": ["target=bbc_articles_other", "target.max_length=128"],
    "long articles": ["target=bbc_articles_other", "target.max_length=256"],
}
ROWS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", nargs="?", default="run", choices=["run", "table"])
    parser.add_argument("--texts", nargs="+", choices=TEXTS, default=list(TEXTS))
    parser.add_argument("--budget", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--limit", type=int, default=500, help="texts")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.verb == "table":
        print_table()
        return
    console.hush_libraries()
    for texts in options.texts:
        line = {
            "texts": texts, "threads": torch.get_num_threads(),
            "cpu": environment.describe()["hardware"]["cpu"],
            **Bench(texts, options.limit).run(options.budget, options.rounds),
        }  # fmt: skip
        with RESULTS.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(json.dumps(line, indent=1), flush=True)


class Bench:
    """One student and one sort of texts: what is measured in turns."""

    def __init__(self, texts: str, limit: int) -> None:
        experiment = of_overrides([*TEXTS[texts], f"target.limit={limit}", "device=cpu"])
        target = task.load(experiment.target, 1)
        self.kind = experiment.target
        torch.manual_seed(1)
        self.model = experiment.student.build(target.labels).eval()
        self.preprocessor = experiment.student.preprocessor()
        self.encoded = self.kind.encode(target.train.inputs, self.preprocessor, keep=False)
        self.session = onnx_session(self.model, self.inputs(np.arange(2)))

    def run(self, budgets: Sequence[int], rounds: int) -> dict[str, Any]:
        lengths = self.encoded.lengths
        plans = {f"{budget} tokens": inference.plan(lengths, budget) for budget in budgets}
        order = np.argsort(-lengths, kind="stable")
        plans[f"{ROWS} rows"] = [order[at : at + ROWS] for at in range(0, len(order), ROWS)]
        passes: dict[str, Callable[[], np.ndarray]] = {}
        for name, plan in plans.items():
            for precision in ("fp32", "bf16"):
                passes[f"ctkd {precision}, {name}"] = partial(self.ours, plan, precision)
            passes[f"onnx fp32, {name}"] = partial(self.onnx, plan)
        answers = {name: read() for name, read in passes.items()}  # a round to warm up
        first = next(iter(answers.values()))
        for name, answer in answers.items():
            np.testing.assert_allclose(
                answer, first, atol=0.1 if "bf16" in name else 1e-4, err_msg=name
            )
        seconds: dict[str, list[float]] = {name: [] for name in passes}
        for _ in range(rounds):
            for name, read in passes.items():
                began = time.perf_counter()
                read()
                seconds[name].append(time.perf_counter() - began)
        medians = {name: float(np.median(each)) for name, each in seconds.items()}
        best = min((name for name in medians if name.startswith("onnx")), key=medians.__getitem__)
        return {
            "n": len(lengths),
            "mean_length": float(lengths.mean()),
            "seconds": medians,
            "best_onnx": best,
            "of_onnx": {
                name: float(np.median(np.array(seconds[best]) / np.array(each)))
                for name, each in seconds.items()
            },
        }

    def ours(self, plan: list[np.ndarray], precision: str) -> np.ndarray:
        device = Device(accelerator="cpu", precision=precision)
        with mock.patch.object(inference, "plan", return_value=plan):
            return inference.read(self.model, self.kind, self.encoded, self.preprocessor, device)

    def onnx(self, plan: list[np.ndarray]) -> np.ndarray:
        found = np.empty((len(self.encoded.lengths), self.model.config.num_labels), np.float32)
        for rows in plan:
            inputs = {name: tensor.numpy() for name, tensor in self.inputs(rows).items()}
            (found[rows],) = self.session.run(["logits"], inputs)
        return found

    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        return self.kind.collate([self.encoded.rows[row] for row in rows], self.preprocessor)


def onnx_session(model: torch.nn.Module, example: dict[str, torch.Tensor]) -> Any:
    """The model in ONNX Runtime, with batches and lengths of any size, and torch's threads."""
    import onnxruntime

    class OnlyLogits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return self.model(**dict(zip(example, tensors, strict=True))).logits

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer
        file = Path(folder, "student.onnx")
        torch.onnx.export(
            OnlyLogits().eval(), tuple(example.values()), file, input_names=list(example),
            output_names=["logits"], opset_version=17, dynamo=False,
            dynamic_axes={name: {0: "batch", 1: "length"} for name in example},
        )  # fmt: skip
        return onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])


def print_table() -> None:
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    print("| texts | mean tokens | threads | what | texts per second | of ONNX Runtime's best |")
    print("|---|---|---|---|---|---|")
    for line in lines:
        for name, seconds in line["seconds"].items():
            print(
                f"| {line['texts']} | {line['mean_length']:.0f} | {line['threads']} | {name} "
                f"| {line['n'] / seconds:.0f} | {line['of_onnx'][name]:.2f} |"
            )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
