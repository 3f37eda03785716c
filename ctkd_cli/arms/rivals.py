"""Rivals: what one would take instead of a distilled student. Each learns from the same labelled
examples of the target, and from no source.

| rival | what it is | costs to use |
|---|---|---|
| tfidf | TF-IDF of words and pairs of words, logistic regression | its own, measured |
| untuned | logistic regression on what the teacher's untuned body makes of an input | a teacher |
| cut_body | the same on the student's own body, cut and untuned | a student |
| static | the same on static vectors made of the student's encoder | less than a student |
| setfit, setfit_teacher | SetFit with the student's, with the teacher's body | as these |

A body is read as `Backbone.embed` has it: for texts, the mean of the last hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import transformers

from ctkd_cli.arms import _logistic, _setfit
from ctkd_cli.arms._tfidf import TfIdf
from ctkd_cli.arms.cut_vocabulary import cut
from ctkd_cli.arms.keys import backbone_key
from ctkd_cli.arms.student import ArmOutputs, kept, write_events
from ctkd_cli.backbones.base import Outputs
from ctkd_cli.backbones.static import Static
from ctkd_cli.cache.entries import Cache, content_key
from ctkd_cli.runs import environment
from ctkd_cli.runtime import devices
from ctkd_cli.tasks.positions import UNLABELLED
from ctkd_cli.tasks.split import fingerprint
from ctkd_cli.training import inference
from ctkd_cli.training.checkpoints import Checkpoints
from ctkd_cli.training.inference import LoadedModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ctkd_cli.backbones.base import Backbone
    from ctkd_cli.experiment import Experiment
    from ctkd_cli.runs.rundir import RunDirectory, Stage
    from ctkd_cli.tasks.kinds.base import Batch
    from ctkd_cli.tasks.split import Split
    from ctkd_cli.tasks.task import Task

STAGE = "rival"
OF_TEACHER = ("untuned", "setfit_teacher")  # whose body is the teacher's
MOST = 20_000  # labelled examples that a logistic regression learns from: more would cost minutes
Making = Callable[[Path, "Stage"], None]


@dataclass(frozen=True)
class Rivals:
    """Those of one seed."""

    experiment: Experiment
    target: Task
    rundir: RunDirectory

    def outputs(self) -> Iterator[ArmOutputs]:
        """Of the rivals that the experiment asks for, one after the other."""
        for name in self.experiment.controls.rivals:
            if reason := self._why_not(name):
                if self.rundir.is_first_seed:
                    self.rundir.tell(f"rival {name} is left out: {reason}")
            else:
                yield self._of(name)

    def _why_not(self, name: str) -> str:
        """Why a rival cannot take part, whatever the seed; "" where it can."""
        kind = self.target.settings
        of_texts = name in ("tfidf", "static") or name.startswith("setfit")
        if of_texts and kind.texts(self.target.test.inputs.select([])) is None:
            return f"it reads texts, and inputs of kind {kind.kind} are none"
        if of_texts and self.target.train.labels.offsets is not None:
            return f"it gives a text one label, and those of kind {kind.kind} have several"
        of_encoder = name == "static" or name.startswith("setfit")
        if of_encoder and not self._body_of(name).encodes_sentences:
            return "it is made of a transformer that encodes sentences"
        return _setfit.why_not() if name.startswith("setfit") else ""

    def _of(self, name: str) -> ArmOutputs:
        """A rival's answers, from the cache or made now."""
        experiment, target = self.experiment, self.target
        backbone = self._backbone(name)
        read = [] if name == "tfidf" else [backbone.fingerprint(), self._seed(name)]
        drawn = name.startswith("setfit") or len(target.labelled) > MOST
        key = content_key(
            "rival", name, read, target.fingerprint, experiment.seed if drawn else None,
            environment.code_hash(backbone, target.settings),
            devices.precision(experiment.device),
        )  # fmt: skip
        own = {"tfidf": self._tfidf, "setfit": self._setfit, "setfit_teacher": self._setfit}
        make = own.get(name, self._on_body)
        with self.rundir.stage(STAGE, name) as stage:

            def told(folder: Path, _: Checkpoints) -> None:
                with stage.remembered() as events:
                    make(name, folder, stage)
                write_events(folder, events)

            outputs = kept(name, key, stage, told, again=not experiment.reuse)
        return replace(outputs, folder=None)

    def _backbone(self, name: str) -> Backbone:
        return self._static if name == "static" else self._body_of(name)

    def _body_of(self, name: str) -> Backbone:
        """The model that it is made of."""
        return self.experiment.teacher if name in OF_TEACHER else self.experiment.student

    @cached_property
    def _static(self) -> Backbone:
        """Vectors of the tokens that the target's train inputs hold."""
        kind = self.target.settings
        vectors = Static.made_of(self.experiment.student)
        folder, _ = cut(vectors, kind, [(kind, self.target.train.without_labels())])
        return vectors.lying_in(folder)

    def _seed(self, name: str) -> int | None:
        """What draws a body's weights; None where they are pretrained."""
        if name == "static":
            return None
        backbone = self._backbone(name)
        if backbone.untrained().fingerprint() != backbone.fingerprint():
            return None
        return self.experiment.teacher.seed if name in OF_TEACHER else self.experiment.seed

    def _learnt(self) -> Split:
        """The labelled examples; of very many some, two of each label at least."""
        train = self.target.train
        rows = self.target.labelled
        if len(rows) > MOST:
            generator = np.random.default_rng([self.experiment.seed, 7])
            rows = generator.permutation(rows)
            examples, _, gold = train.labels.select(rows).known()
            first = [examples[gold == label][:2] for label in range(len(self.target.labels))]
            rows = rows[np.unique(np.concatenate([np.arange(MOST), *first]))]
        return train.select(np.sort(rows))

    def _read(self) -> dict[str, Split]:
        """The splits that a rival answers."""
        splits = self.target.splits()
        return {name: splits[name] for name in ("test", "validation") if len(splits[name])}

    def _tfidf(self, name: str, folder: Path, stage: Stage) -> None:
        kind, learnt = self.target.settings, self._learnt()

        def texts(split: Split) -> list[str]:
            return kind.texts(split.inputs) or []

        found = TfIdf.fit(texts(learnt), learnt.labels.values, len(self.target.labels))
        read = {split: texts(inputs) for split, inputs in self._read().items()}
        for split, inputs in read.items():
            np.save(folder / f"{split}.npy", found.logits(inputs))
        _tell(stage, name, found.fitted)
        stage.event("cost", arm=name, **found.cost(read["test"]))

    def _on_body(self, name: str, folder: Path, stage: Stage) -> None:
        learnt = self._learnt()
        loaded = self._body(name)
        known = learnt.labels.values != UNLABELLED
        examples, _, gold = learnt.labels.known()
        together = examples if learnt.labels.offsets is not None else None
        features = self._features(name, loaded, learnt)[known]
        fitted = _logistic.fit(features, gold, len(self.target.labels), together)
        for split, inputs in self._read().items():
            logits = fitted.logits(self._features(name, loaded, inputs))
            np.save(folder / f"{split}.npy", logits)
        _tell(stage, name, fitted)

    def _body(self, name: str) -> LoadedModel:
        """An untuned model, asked for what its body makes of inputs."""
        backbone, target = self._backbone(name), self.target
        transformers.set_seed(self._seed(name) or 0)
        model = backbone.build(target.labels, target.settings)
        model = model.to(devices.resolve(self.experiment.device))
        embedder = cast("Backbone", _Embedder(backbone))
        return LoadedModel(
            model, embedder, backbone.preprocessor(), target.settings, self.experiment.device
        )

    def _features(self, name: str, loaded: LoadedModel, split: Split) -> np.ndarray:
        """[S, d], of every position of a split; kept, since seeds share a test split."""
        kind = self.target.settings
        key = content_key(
            "embeddings", backbone_key(self._backbone(name)), self._seed(name),
            fingerprint(kind, (), [split.without_labels()]),
            devices.precision(self.experiment.device),
        )  # fmt: skip

        def make(folder: Path) -> None:
            encoded = kind.encode(split.inputs, loaded.preprocessor, split.digests)
            found = inference.read(loaded, encoded, split.labels.offsets)
            np.save(folder / "embeddings.npy", found)

        folder, _ = Cache("knowledge").get(key, make, together=True)
        return np.asarray(np.load(folder / "embeddings.npy"), np.float64)

    def _setfit(self, name: str, folder: Path, stage: Stage) -> None:
        kind, learnt, backbone = self.target.settings, self._learnt(), self._backbone(name)
        transformers.set_seed(self.experiment.seed)
        answer = _setfit.train(
            backbone.build(self.target.labels, kind),
            partial(kind.save_preprocessor, backbone.preprocessor()),
            kind.texts(learnt.inputs) or [],
            learnt.labels.values,
            len(self.target.labels),
            self.experiment.seed,
            devices.resolve(self.experiment.device).type,
        )
        for split, inputs in self._read().items():
            np.save(folder / f"{split}.npy", answer(kind.texts(inputs.inputs) or []))


@dataclass(frozen=True)
class _Embedder:
    """A backbone whose answers are its embeddings."""

    backbone: Any

    def forward(self, model: PreTrainedModel, batch: Batch) -> Outputs:
        return Outputs(self.backbone.embed(model, batch), None)


def _tell(stage: Stage, name: str, fitted: _logistic.Fitted) -> None:
    stage.event(
        "fitted", arm=name, strength=fitted.strength, balanced=fitted.balanced,
        log_likelihood=fitted.log_likelihood,
    )  # fmt: skip
