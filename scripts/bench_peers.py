"""The same distillation by ctkd and by what one would pick instead: time, and macro-F1 on test.

    pip install textbrewer==0.2.1.post1 tensorboard setfit==1.2.0    # beside ctkd
    pip install --no-deps torchdistill==1.1.5     # asks for torchvision, and can do without
    python scripts/bench_peers.py                  # headlines, 3 seeds, then a sweep
    python scripts/bench_peers.py --texts articles # all of 128 tokens: nobody can save padding
    python scripts/bench_peers.py --epochs 1 --limit 100 --seeds 1 --no-sweep
    python scripts/bench_peers.py table

Everyone gets the same: weights of a teacher that ctkd fine-tuned on other texts with the same
labels, the student's initial weights, encoded texts, batch size, number of steps, AdamW with a
linear schedule, warm-up and clipping, threads, and the loss CE + KL at temperature 2 on logits. All
run in one process, seed after seed, in turns; medians. Tokenising is in nobody's time (but for
SetFit's, which does it itself), building the models neither. In ctkd's time are the loading of the
teacher, its pass over the inputs, the store on disk, and the joining.

  plain, padded to 128    a PyTorch loop with the teacher inside, as usually written
  plain, at its best      dynamic padding, fused AdamW, inference mode for the teacher
  TextBrewer, padded      GeneralDistiller as in its own example: all padded to 128
  TextBrewer, at its best dynamic padding, fused AdamW, weights saved once. It asks for
                          tensorboard, and for batches that are plain dicts
  torchdistill            dynamic padding, fused AdamW. It imports torchvision for its image
                          models: empty modules stand in for it. Collating needs a function that
                          is registered; its API goes all the way after that
  SetFit                  NOT the same work: DistillationTrainer fits cosine similarities of pairs
                          of embeddings, for as many steps, then a logistic regression on the
                          teacher's answers; no labels. Given for what it is

The sweep is `ctkd run -m` with 3 lambdas and 4 seeds: the whole command, with start-up, the
students alone that it trains beside them, and reports; the teacher is given. Beside it stand 12
times the quickest peer's median.

Lines go to docs/bench_peers.jsonl, with the machine; `table` prints them as Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import transformers
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax
from torch.utils.data import DataLoader, RandomSampler

from ctkd_cli.arms import sources as source_side
from ctkd_cli.arms.bridged_knowledge import apply_bridge
from ctkd_cli.arms.encoded_task import EncodedTask
from ctkd_cli.arms.keys import target_pool
from ctkd_cli.arms.teacher import extract_knowledge, load_teacher
from ctkd_cli.cache.entries import Cache
from ctkd_cli.distillation.terms import Distillation
from ctkd_cli.experiment import Experiment, of_overrides
from ctkd_cli.runs import console, environment
from ctkd_cli.runs.rundir import RunDirectory
from ctkd_cli.tasks import task
from ctkd_cli.training import batches, inference
from ctkd_cli.training.checkpoints import Checkpoints

RESULTS = Path("docs/bench_peers.jsonl")
LABELS = "[business,entertainment,politics,sport,tech]"
SAME_LABELS = [
    "source=bbc_articles", f"source.labels={LABELS}", "target=bbc_headlines_5",
    "target.labels_per_class=null", "bridge=identity", "loss=kl", "loss.temperature=2",
    "device=cpu", "device.precision=fp32", "training=epochs", "training.batch_size=32",
    "training.learning_rate=1e-4", "training.weight_decay=0",
]  # fmt: skip
TEXTS = {
    "headlines": [],
    "articles": ["target.part=article", "target.max_length=128"],
}
TEMPERATURE, LAMBDA, BATCH, LONGEST = 2.0, 1.0, 32, 128
SWEEP = ["lambda=0.3,1,3", "seed=1,2,3,4"]
OURS = ("ctkd", "ctkd, bf16", "ctkd's student alone")
OTHER_WORK = "SetFit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", nargs="?", default="run", choices=["run", "table"])
    parser.add_argument("--texts", nargs="+", choices=TEXTS, default=["headlines"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=400, help="texts to train on, at most")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="contenders; default: all")
    parser.add_argument("--no-sweep", action="store_true")
    options = parser.parse_args()
    if options.verb == "table":
        print_table()
        return
    console.hush_libraries()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CTKD_CACHE"] = f"{folder}/cache"
        for texts in options.texts:
            overrides = [
                *SAME_LABELS, *TEXTS[texts], f"training.epochs={options.epochs}",
                f"target.limit={options.limit}", f"source.limit={options.limit}",
            ]  # fmt: skip
            bench = Bench(overrides, Path(folder))
            line: dict[str, Any] = {
                "texts": texts, "n": len(bench.target.train), "epochs": options.epochs,
                "mean_length": float(bench.train.lengths.mean()),
                "threads": torch.get_num_threads(), "load": os.getloadavg()[0],
                "cpu": environment.describe()["hardware"]["cpu"],
                **bench.run(options.seeds, options.only),
            }  # fmt: skip
            if not options.no_sweep:
                line["sweep"] = sweep(overrides, Path(folder))
            with RESULTS.open("a") as stream:
                stream.write(json.dumps(line) + "\n")
            print(json.dumps(line, indent=1), flush=True)


class Bench:
    """A pair of tasks with the same labels, and everyone's way to distil across it."""

    def __init__(self, overrides: list[str], folder: Path) -> None:
        self.overrides, self.folder = overrides, folder
        self.rundir = RunDirectory(Path(tempfile.mkdtemp(dir=folder)), console.SilentDisplay())
        experiment = of_overrides(overrides)
        whole = task.load(experiment.target, 1)
        full = np.arange(len(whole.train) // BATCH * BATCH)  # as many steps for all
        self.target = replace(whole, train=whole.train.select(full))
        self.pool = target_pool(self.target)
        ((_, self.source),) = source_side.load(experiment).items()
        self.teacher = load_teacher(experiment, source_side.SINGLE, self.source, self.rundir)
        self.teacher_model = self.teacher.load(experiment).model.eval()
        self.experiment = experiment
        self.encoded = EncodedTask.of(self.target, experiment.student, experiment.device)
        self.train = self.encoded.splits["train"]
        self.steps = batches.n_steps(experiment.training, len(full))
        preprocessor = experiment.teacher.preprocessor()
        experiment.target.encode(self.pool.inputs, preprocessor, self.pool.digests)  # is kept

    def run(self, seeds: int, only: Sequence[str] | None) -> dict[str, Any]:
        contenders: dict[str, Callable[[int], tuple[float, float]]] = {
            "ctkd": partial(self.ctkd, precision="fp32"),
            "ctkd, bf16": partial(self.ctkd, precision="bf16"),
            "ctkd's student alone": partial(self.ctkd, precision="fp32", alone=True),
            "plain, padded to 128": partial(self.plain, best=False),
            "plain, at its best": partial(self.plain, best=True),
            "TextBrewer, padded to 128": partial(self.textbrewer, best=False),
            "TextBrewer, at its best": partial(self.textbrewer, best=True),
            "torchdistill": self.torchdistill,
            OTHER_WORK: self.setfit,
        }
        chosen = {name: each for name, each in contenders.items() if not only or name in only}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
        for seed in range(1, seeds + 1):
            for name, contender in chosen.items():
                found[name].append(contender(seed))
                print(f"{name}, seed {seed}: {found[name][-1]}", file=sys.stderr, flush=True)
        return {
            "seconds": {name: [seconds for seconds, _ in each] for name, each in found.items()},
            "macro_f1": {name: [f1 for _, f1 in each] for name, each in found.items()},
        }

    def ctkd(self, seed: int, precision: str, alone: bool = False) -> tuple[float, float]:
        """As runs do it: the teacher's pass into a store, the bridge, the training."""
        experiment = of_overrides(
            [*self.overrides, f"seed={seed}", f"device.precision={precision}"]
        )
        model = self.student(experiment, seed)
        shutil.rmtree(Cache("knowledge").folder, ignore_errors=True)
        began = time.perf_counter()
        distillation = None
        if not alone:
            knowledge = extract_knowledge(experiment, self.teacher, self.pool, self.rundir)
            terms = apply_bridge(experiment, self.target, [knowledge]).terms
            distillation = Distillation(terms, experiment.lambda_, experiment.schedule)
        encoded = replace(self.encoded, device=experiment.device)
        with self.rundir.stage("student", f"{seed}") as stage:
            encoded.fit(
                encoded.load(model), experiment.training, seed, "bench", stage,
                Checkpoints("bench", self.folder / "checkpoints", again=True), distillation,
            )  # fmt: skip
        return time.perf_counter() - began, self.macro_f1(model, experiment)

    def plain(self, seed: int, best: bool) -> tuple[float, float]:
        student, teacher = self.student(self.experiment, seed), self.teacher_model
        loader = self.loader(seed, dynamic=best)
        silent = torch.inference_mode if best else torch.no_grad
        began = time.perf_counter()
        optimiser = self.optimiser(student, fused=best)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, self.rate)
        for _ in range(self.epochs):
            for inputs, labels in loader:
                with silent():
                    said = teacher(**inputs).logits
                logits = student(**inputs).logits
                soft = kl_div(
                    log_softmax(logits / TEMPERATURE, dim=-1),
                    softmax(said / TEMPERATURE, dim=-1),
                    reduction="batchmean",
                )
                loss = cross_entropy(logits, labels) + LAMBDA * TEMPERATURE**2 * soft
                loss.backward()
                torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
                optimiser.step()
                scheduler.step()
                optimiser.zero_grad()
        return time.perf_counter() - began, self.macro_f1(student)

    def textbrewer(self, seed: int, best: bool) -> tuple[float, float]:
        from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

        student = self.student(self.experiment, seed)
        loader = self.loader(seed, dynamic=best, labels_inside=True)
        began = time.perf_counter()
        distiller = GeneralDistiller(
            TrainingConfig(
                output_dir=str(self.folder), device="cpu",
                ckpt_epoch_frequency=self.epochs if best else 1,
            ),
            # Its soft loss lacks the factor T^2.
            DistillationConfig(
                temperature=TEMPERATURE, kd_loss_type="ce",
                kd_loss_weight=LAMBDA * TEMPERATURE**2, hard_label_weight=1.0,
            ),
            self.teacher_model, student,
            lambda batch, outputs: {"logits": outputs.logits},
            lambda batch, outputs: {"logits": outputs.logits, "losses": outputs.loss},
        )  # fmt: skip
        with distiller, quiet():
            distiller.train(
                self.optimiser(student, fused=best), loader, num_epochs=self.epochs,
                max_grad_norm=1.0, scheduler_class=torch.optim.lr_scheduler.LambdaLR,
                scheduler_args={"lr_lambda": self.rate},
            )  # fmt: skip
        return time.perf_counter() - began, self.macro_f1(student)

    def torchdistill(self, seed: int) -> tuple[float, float]:
        with stand_in_for("torchvision", "torchvision.datasets"):
            from torchdistill.core.distillation import DistillationBox
            from torchdistill.datasets.registry import register_collate_func
        register_collate_func(partial(self.collate, dynamic=True), key="padded")
        student = self.student(self.experiment, seed)
        side = {
            "forward_proc": "forward_batch_only_as_kwargs",
            "forward_hook": {"output": ["classifier"]},
        }
        paths = {
            f"{who}_module_{what}": value
            for who in ("student", "teacher")
            for what, value in {"path": "classifier", "io": "output"}.items()
        }
        kd = {"temperature": TEMPERATURE, "alpha": 1.0, "beta": LAMBDA, **paths}
        term = {"criterion": {"key": "KDLoss", "kwargs": kd}, "weight": 1.0}
        config = {
            "num_epochs": self.epochs,
            "train_data_loader": {
                "dataset_id": "train", "requires_supp": False, "collate_fn": "padded",
                "sampler": {"class_or_func": RandomSampler, "kwargs": {}},
                "kwargs": {"batch_size": BATCH},
            },
            "teacher": {**side, "requires_grad": False},
            "student": dict(side),
            "optimizer": {
                "key": "AdamW", "max_grad_norm": 1.0,
                "kwargs": {"lr": self.peak, "weight_decay": 0.0, "fused": True},
            },
            "scheduler": {
                "key": "LambdaLR", "scheduling_step": 1, "kwargs": {"lr_lambda": self.rate}
            },
            "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": term}}},
        }  # fmt: skip
        teacher = copy.deepcopy(self.teacher_model)  # it freezes it
        rows = range(len(self.target.train))
        began = time.perf_counter()
        torch.manual_seed(seed)
        box = DistillationBox(
            teacher, student, {"train": rows}, config, torch.device("cpu"), None, False, 1.0
        )
        for epoch in range(self.epochs):
            box.pre_epoch_process(epoch=epoch)
            for inputs, labels in box.train_data_loader:
                box.pre_forward_process()
                box.post_forward_process(loss=box.forward_process(inputs, labels))
            box.post_epoch_process()
        return time.perf_counter() - began, self.macro_f1(student)

    def setfit(self, seed: int) -> tuple[float, float]:
        from datasets import Dataset
        from sklearn.linear_model import LogisticRegression

        with quiet():
            from sentence_transformers import SentenceTransformer, models
            from setfit import DistillationTrainer, SetFitModel, TrainingArguments

        def both(model: Any, name: str) -> SetFitModel:
            folder = self.folder / name
            model.base_model.save_pretrained(folder)
            self.encoded.preprocessor.save_pretrained(folder)
            body = models.Transformer(str(folder), max_seq_length=LONGEST)
            pooled = models.Pooling(body.get_embedding_dimension(), "mean")
            head = LogisticRegression(max_iter=1000)
            return SetFitModel(
                SentenceTransformer(modules=[body, pooled], device="cpu"), model_head=head
            )

        texts = {part: list(split.inputs["text"]) for part, split in self.target.splits().items()}
        with quiet():
            teacher = both(self.teacher_model, "setfit_teacher")
            read = teacher.model_body.encode(list(self.source.train.inputs["text"]))
            teacher.model_head.fit(read, self.source.train.labels.values)
            student = both(self.student(self.experiment, seed), "setfit_student")
            began = time.perf_counter()
            trainer = DistillationTrainer(
                teacher_model=teacher,
                student_model=student,
                args=TrainingArguments(
                    output_dir=str(self.folder / "setfit"), batch_size=BATCH, seed=seed,
                    max_steps=self.steps, body_learning_rate=self.peak, report_to="none",
                    save_strategy="no",
                ),
                train_dataset=Dataset.from_dict({"text": texts["train"]}),
            )  # fmt: skip
            trainer.train()
            seconds = time.perf_counter() - began
            predicted = student.predict(texts["test"], as_numpy=True)
        return seconds, float(f1_score(self.target.test.labels.values, predicted, average="macro"))

    @property
    def epochs(self) -> int:
        return int(self.experiment.training.epochs)

    @property
    def peak(self) -> float:
        return self.experiment.training.learning_rate

    def rate(self, step: int) -> float:
        """The schedule of the runs: linear, up and down."""
        rising = round(self.experiment.training.warmup * self.steps)
        return step / rising if step < rising else (self.steps - step) / (self.steps - rising)

    def optimiser(self, model: torch.nn.Module, fused: bool) -> torch.optim.Optimizer:
        more = {"fused": True} if fused else {}
        return torch.optim.AdamW(model.parameters(), lr=self.peak, weight_decay=0.0, **more)

    def student(self, experiment: Experiment, seed: int) -> Any:
        transformers.set_seed(seed)
        return experiment.student.build(self.target.labels, self.target.settings).train()

    def loader(self, seed: int, dynamic: bool, labels_inside: bool = False) -> DataLoader[Any]:
        return DataLoader(
            range(len(self.target.train)),  # type: ignore[arg-type]
            batch_size=BATCH, shuffle=True, generator=torch.Generator().manual_seed(seed),
            collate_fn=partial(self.collate, dynamic=dynamic, labels_inside=labels_inside),
        )  # fmt: skip

    def collate(self, rows: Sequence[int], dynamic: bool, labels_inside: bool = False) -> Any:
        encoded = [self.train.rows[row] for row in rows]
        inputs = dict(self.target.settings.collate(encoded, self.encoded.preprocessor).inputs)
        if not dynamic:
            inputs = {
                name: torch.nn.functional.pad(tensor, (0, LONGEST - tensor.shape[1]))
                for name, tensor in inputs.items()
            }
        labels = torch.from_numpy(self.target.train.labels.values[list(rows)].astype(np.int64))
        return {**inputs, "labels": labels} if labels_inside else (inputs, labels)

    def macro_f1(self, model: Any, experiment: Experiment | None = None) -> float:
        encoded = replace(self.encoded, device=(experiment or self.experiment).device)
        logits = inference.read(encoded.load(model), encoded.splits["test"])
        gold = self.target.test.labels.values
        return float(f1_score(gold, logits.argmax(axis=1), average="macro"))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without bars and warnings."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stderr(nowhere),
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def stand_in_for(package: str, *looked_for: str) -> Iterator[None]:
    """While modules are imported: a package, its modules and whatever classes they are asked for.
    looked_for: modules that are expected to be imported already. Does nothing where the package is
    installed."""
    if importlib.util.find_spec(package) is not None:
        yield
        return

    class Empty(ModuleType):
        __path__: list[str] = []  # noqa: RUF012

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
            if fullname.split(".")[0] == package:
                return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
            return None

        def create_module(self, spec: Any) -> ModuleType:
            return Empty(spec.name)

        def exec_module(self, module: ModuleType) -> None: ...

    finder = Finder()
    sys.meta_path.append(finder)
    try:
        for name in looked_for:
            importlib.import_module(name)
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]


def sweep(overrides: Sequence[str], folder: Path) -> dict[str, float]:
    """`ctkd run -m` with a trained teacher in its cache, from Enter to the end."""
    for sort in ("knowledge", "arms"):
        shutil.rmtree(Cache(sort).folder, ignore_errors=True)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ctkd_cli", "run", "-m", *SWEEP, *overrides],
        env={**os.environ, "CTKD_OUTPUTS": tempfile.mkdtemp(dir=folder)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return {"jobs": 12, "seconds": time.perf_counter() - began}


def print_table() -> None:
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    for line in lines:
        medians = {name: float(np.median(each)) for name, each in line["seconds"].items()}
        print(
            f"**{line['texts']}**: {line['n']} texts of {line['mean_length']:.0f} tokens on "
            f"average, {line['epochs']} epochs, {line['threads']} threads, {line['cpu']}, "
            f"load {line['load']:.1f} at the start\n"
        )
        print("| contender | seconds | times ctkd's | times ctkd's in bf16 | macro-F1 |")
        print("|---|---|---|---|---|")
        for name, seconds in medians.items():
            ratios = [
                f"{seconds / medians[ours]:.2f}" if ours in medians else "" for ours in OURS[:2]
            ]
            f1 = np.mean(line["macro_f1"][name])
            print(f"| {name} | {seconds:.1f} | {' | '.join(ratios)} | {f1:.3f} |")
        peers = {name: s for name, s in medians.items() if name not in (*OURS, OTHER_WORK)}
        if "sweep" in line and peers:
            best = min(peers, key=peers.__getitem__)
            jobs, seconds = line["sweep"]["jobs"], line["sweep"]["seconds"]
            print(
                f"\nA sweep of {jobs} jobs: ctkd {seconds:.0f} s; {jobs} times {best} "
                f"{jobs * peers[best]:.0f} s, {jobs * peers[best] / seconds:.1f} times as long."
            )
        print()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
