from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, cast

import numpy as np
from pydantic import Field, model_validator

from ctkd_cli.backbones import _vocabulary, _weights
from ctkd_cli.backbones.base import Backbone, ModelSize
from ctkd_cli.backbones.huggingface import Huggingface
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.runtime.lazy import torch, transformers
from ctkd_cli.settings.validation import Refused

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from ctkd_cli.tasks.kinds.base import Batch, Kind

MODEL_TYPE = "static"  # in config.json
AT_ONCE = 1_024  # tokens that the body reads in one batch
WIDTH, MOST = 128, 7.5e6  # of a vector; bytes of all vectors together
COMMON = 1e-3  # a token of that frequency has half the weight of a rare one


class Static(Backbone):
    """Token vectors and a head, no attention: a student for CPUs, of a few megabytes.

    A vector is what a sentence encoder makes of the token by itself, its `width` principal
    components, weighted by how rare the token is (Model2Vec, Tulkens and van Dongen 2024; weights
    as in SIF, Arora et al. 2017). Only tokens that the task's texts hold have one, and single
    characters.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"tokens"})
    rate: ClassVar[float] = 300.0

    model: str = Field(
        min_length=1,
        description="the sentence encoder: a folder, package:DISTRIBUTION/PATH, or a hub id",
    )
    revision: str = Field("main", description="branch, tag or commit of a hub id")
    width: Annotated[int, Field(ge=2, le=1024)] | None = Field(
        None, description=f"of a token's vector; null: {WIDTH}, or what fits into {MOST / 1e6:g} MB"
    )
    allow_pickle: bool = Field(False, description="read *.bin weights, which can run code")

    @model_validator(mode="after")
    def _is_a_student(self) -> Self:
        if self.role == "teacher":
            raise Refused(
                Problem(
                    "static vectors are made for a student", where="teacher.backbone",
                    got="static", allowed="huggingface",
                    remedy="teacher=huggingface teacher.model=FOLDER",
                )
            )  # fmt: skip
        return self

    @classmethod
    def made_of(cls, encoder: Backbone) -> Backbone:
        """Vectors from a sentence encoder that reads texts for the same role."""
        own = type(cls.__name__, (cls,), {"role": encoder.role, "__module__": __name__})
        settings = encoder.model_dump(include={"model", "revision", "allow_pickle"})
        return cast("type[Static]", own).model_validate({"backbone": MODEL_TYPE, **settings})

    @cached_property
    def _body(self) -> Huggingface:
        """The encoder, or what was made of it, as it reads texts."""
        made = type("Body", (Huggingface,), {"role": self.role, "__module__": __name__})
        own = cast("type[Huggingface]", made)
        settings = self.model_dump(include={"model", "revision", "allow_pickle"})
        return own.model_validate({"backbone": "huggingface", **settings})

    @property
    def cuts_vocabulary(self) -> bool:
        config = _weights.read_config(self._body.folder, f"{self.role}.model")
        return bool(config.get("model_type") != MODEL_TYPE)

    def require_files(self) -> None:
        self._body.require_files()

    def require_sound(self) -> None:
        self._body.require_sound()

    def require_fitting(self, kind: Kind) -> None:
        if kind.architecture != "AutoModelForSequenceClassification":
            raise InputError(
                Problem(
                    "a static student answers once for each text", where=f"{self.role}.backbone",
                    got=f"static, for {kind.kind}", allowed="huggingface",
                    remedy=f"{self.role}=minilm_l3",
                )
            )  # fmt: skip
        self._body.require_fitting(kind)

    def write_cut(
        self, used: np.ndarray, frequencies: np.ndarray, kind: Kind, folder: Path
    ) -> None:
        from ctkd_cli.backbones._static_model import StaticConfig, StaticForSequenceClassification

        tokenizer = self._tokenizer
        try:
            kept = _vocabulary.cut_tokenizer(tokenizer, used, folder)
        except ValueError as error:
            raise _vocabulary.cannot_be_cut(f"{self.role}.model", error) from None
        width = self.width or min(WIDTH, int(MOST / 4 / len(kept)))  # of float32
        vectors = _principal(self._read_alone(kept, tokenizer), width)
        of_kept = np.zeros(len(kept))
        of_kept[np.searchsorted(kept, used)] = frequencies
        vectors *= (COMMON / (COMMON + of_kept))[:, None]
        vectors[np.isin(kept, tokenizer.all_special_ids)] = 0.0
        config = StaticConfig(
            *vectors.shape, pad_token_id=_vocabulary.places(kept).get(tokenizer.pad_token_id)
        )
        model = StaticForSequenceClassification(config)
        with torch.no_grad():
            model.embeddings.weight.copy_(torch.from_numpy(vectors))
        model.save_pretrained(folder)

    def _read_alone(self, kept: np.ndarray, tokenizer: Any) -> np.ndarray:
        """What the encoder makes of each token by itself, [V, d]."""
        from ctkd_cli.backbones._mean_pooling_model import mean_state

        body = transformers.AutoModel.from_pretrained(
            self._body.folder, dtype=torch.float32, trust_remote_code=False,
            use_safetensors=None if self.allow_pickle else True,
        ).eval()  # fmt: skip
        around = tokenizer("", add_special_tokens=True)["input_ids"]
        before, after = around[: (len(around) + 1) // 2], around[(len(around) + 1) // 2 :]
        found = []
        for start in range(0, len(kept), AT_ONCE):
            ids = torch.tensor([[*before, int(each), *after] for each in kept[start:][:AT_ONCE]])
            with torch.inference_mode():
                hidden = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            found.append(mean_state(hidden, torch.ones(ids.shape)).numpy())
        return np.concatenate(found)

    def lying_in(self, folder: Path) -> Self:
        return type(self).model_validate({**self.model_dump(), "model": str(folder)})

    def build(self, labels: Sequence[str], kind: Kind) -> PreTrainedModel:
        from ctkd_cli.backbones._static_model import StaticForSequenceClassification

        model: PreTrainedModel = StaticForSequenceClassification.from_pretrained(
            self._body.folder, use_safetensors=True, ignore_mismatched_sizes=True,
            id2label=dict(enumerate(labels)), label2id={n: k for k, n in enumerate(labels)},
        )  # fmt: skip
        torch.nn.init.normal_(model.classifier.weight, std=0.02)
        torch.nn.init.zeros_(model.classifier.bias)
        return model.train()

    def load_trained(self, folder: Path) -> PreTrainedModel:
        from ctkd_cli.backbones._static_model import StaticForSequenceClassification

        found: PreTrainedModel = StaticForSequenceClassification.from_pretrained(
            folder, use_safetensors=True
        )
        return found

    def embed(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        own: Any = model
        found: Tensor = own.pooled(batch.inputs["input_ids"], batch.inputs["attention_mask"])
        return found

    def preprocessor(self) -> Any:
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Any:
        """Without the encoder's limit on tokens: a mean has none but the task's."""
        return self._body.load_preprocessor(self._body.folder)

    def load_preprocessor(self, folder: Path) -> Any:
        return self._body.load_preprocessor(folder)

    def fingerprint(self) -> str:
        files = _weights.hash_folder(self._body.folder, _weights.ALL_FILES)
        return hashlib.sha256(json.dumps([files, "static", self.width]).encode()).hexdigest()

    def size(self) -> ModelSize:
        config = _weights.read_config(self._body.folder, f"{self.role}.model")
        width = config["hidden_size"] if not self.cuts_vocabulary else self.width or WIDTH
        return ModelSize(config["vocab_size"] * width, 2.0 * width)


def _principal(features: np.ndarray, width: int) -> np.ndarray:
    """The first principal components, [n, width] at most, with unit variance on average."""
    from sklearn.decomposition import PCA

    width = min(width, *features.shape)
    found = PCA(width, svd_solver="full").fit_transform(features.astype(np.float64))
    return np.asarray(found / found.std(), np.float32)
