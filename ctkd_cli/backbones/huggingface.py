from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from ctkd_cli.backbones import (
    _config_changes,
    _layers,
    _mean_pooling,
    _own_models,
    _tokenizer,
    _vocabulary,
    _weights,
)
from ctkd_cli.backbones.base import Backbone, ModelSize
from ctkd_cli.errors import InputError, Problem, nearest
from ctkd_cli.runtime.lazy import torch, transformers
from ctkd_cli.settings.validation import Refused

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

    from ctkd_cli.tasks.kinds.base import Kind

Index = Annotated[int, Field(ge=0)]
DROPOUT = re.compile(r"drop(out|$|_|path)")  # keys of a config.json


class Huggingface(Backbone):
    """Any classifier of texts or of their words that transformers has, encoder or decoder, whole or
    cut to some layers."""

    reads: ClassVar[frozenset[str]] = frozenset({"tokens"})
    encodes_sentences: ClassVar[bool] = True

    model: str = Field(min_length=1, description="a folder, package:DISTRIBUTION/PATH, or a hub id")
    revision: str = Field("main", description="branch, tag or commit of a hub id")
    layers: Annotated[int, Field(ge=1)] | tuple[Index, ...] | None = Field(
        None, description="layers kept: a list of indices, or how many, evenly spread"
    )
    pooling: Literal["head", "mean"] = Field(
        "head",
        description="what the head reads of a text: as the model's own class has it (its first or "
        "last token, mostly), or the mean of its last hidden states",
    )
    vocabulary: Literal["all", "target"] = Field(
        "all",
        description="target: a student knows no pieces of words but those that the task's texts "
        "hold (labelled, unlabelled, source), and single characters",
    )
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: only the architecture and the tokenizer are used"
    )
    config: dict[str, int | float | str | bool] = Field(
        {},
        description="changes to config.json: of dropout, and with weights=random of anything",
    )
    head_labels: tuple[str, ...] | None = Field(
        None, description="names of the outputs of a fine-tuned model that has only LABEL_0, ..."
    )
    allow_pickle: bool = Field(False, description="read *.bin weights, which can run code")

    @field_validator("vocabulary")
    @classmethod
    def _of_a_student(cls, value: str) -> str:
        if value == "target" and cls.role == "teacher":
            raise Refused(
                Problem(
                    "a teacher reads with all it knows", where="teacher.vocabulary", got=value,
                    allowed="all", remedy="student.vocabulary=target, which makes students small",
                )
            )  # fmt: skip
        return value

    @cached_property
    def folder(self) -> Path:
        """The folder that holds the model's files."""
        return _weights.locate(
            self.model, self.revision, f"{self.role}.model", allow_pickle=self.allow_pickle
        )

    def require_files(self) -> None:
        if self.weights == "pretrained":
            own = f"{self.role}.model"
            _weights.require_weights(self.folder, own, allow_pickle=self.allow_pickle)

    def require_sound(self) -> None:
        where = f"{self.role}.model"
        config, tokenizer = self._config(), self.preprocessor()
        files = list(tokenizer.vocab_files_names.values())
        if files and not any((self.folder / name).is_file() for name in files):
            raise InputError(  # transformers would make one that knows no word
                Problem(
                    "this model has no tokenizer", where=where, got=str(self.folder),
                    allowed=f"one of {', '.join(files)}",
                    remedy="fetch or save the model again, with its tokenizer",
                )
            )  # fmt: skip
        words, places = tokenizer.vocab_size, getattr(config, "vocab_size", None)
        if places is not None and words > places:
            raise InputError(
                Problem(
                    "this tokenizer is another model's: it has more words than the model knows",
                    where=where,
                    got=f"{words} words in {self.folder}",
                    allowed=f"{places}, as config.json says",
                    remedy="fetch or save model and tokenizer together",
                )
            )

    def require_fitting(self, kind: Kind) -> None:
        """transformers would draw what it misses. The head is drawn anyway; `meta` holds no
        numbers."""
        config = self._config()
        if self.weights != "pretrained":
            with torch.device("meta"):
                self._cut(self._load(config, kind))
            return
        try:
            model, found = self._load(
                config,
                kind,
                device_map="meta",
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        except InputError:
            raise
        except Exception as error:  # as for the tokenizer
            where = f"{self.role}.model"
            raise _weights.unreadable("architecture", where, self.folder, error) from None
        _weights.require_matching(model, found, self.folder, f"{self.role}.model")
        self._cut(model)

    def build(self, labels: Sequence[str], kind: Kind) -> PreTrainedModel:
        """A head that the weights may hold was trained for other labels, so a new one is drawn."""
        from ctkd_cli.backbones._pooled import final_linear

        config = self._config()
        _name_labels(config, labels)
        model = self._load(config, kind, ignore_mismatched_sizes=True)
        head = final_linear(model)
        torch.nn.init.normal_(head.weight, std=getattr(config, "initializer_range", 0.02))
        if head.bias is not None:
            torch.nn.init.zeros_(head.bias)
        return self._cut(model).train()

    def require_head(self, labels: Sequence[str]) -> None:
        config = self._config()
        own = self._head_labels(config)
        missing = [label for label in labels if label not in own]
        if missing or len(own) != config.num_labels:
            raise InputError(
                Problem(
                    "the fine-tuned model's labels do not match the task's",
                    where="teacher.model",
                    got=f"outputs {list(own)}",
                    allowed=f"an output for each of {list(labels)}",
                    nearest=nearest(missing[0], own) if missing else "",
                    remedy="teacher.head_labels=[...], or rename with source.labels={...}",
                )
            )

    def _head_labels(self, config: Any) -> tuple[str, ...]:
        """The names of the head's outputs, the user's before the model's own."""
        return self.head_labels or tuple(config.id2label[i] for i in range(config.num_labels))

    def build_fine_tuned(self, labels: Sequence[str], kind: Kind) -> PreTrainedModel:
        from ctkd_cli.backbones._pooled import final_linear

        self.require_head(labels)
        config = self._config()
        own = self._head_labels(config)
        own_head = self.model_copy(update={"pooling": "head"})
        model = own_head._load(config, kind)
        head = final_linear(model)
        order = torch.tensor([own.index(label) for label in labels])
        with torch.no_grad():
            head.weight = torch.nn.Parameter(head.weight[order])
            if head.bias is not None:
                head.bias = torch.nn.Parameter(head.bias[order])
        head.out_features = len(labels)
        _name_labels(model.config, labels)
        model.num_labels = len(labels)
        return self._cut(model).train()

    def untrained(self) -> Self:
        return self.model_copy(update={"weights": "random"})

    @property
    def cuts_vocabulary(self) -> bool:
        return self.vocabulary == "target"

    def write_cut(
        self, used: np.ndarray, frequencies: np.ndarray, kind: Kind, folder: Path
    ) -> None:
        config, load = copy.deepcopy(self._own_config), None
        config.pad_token_id = self.preprocessor().pad_token_id
        if self.weights == "pretrained":
            whole = self.model_copy(update={"pooling": "head", "layers": None, "config": {}})
            load = partial(whole._load, config, kind, ignore_mismatched_sizes=True)
        _vocabulary.write_cut(self.preprocessor(), config, load, used, folder, self.role)

    def lying_in(self, folder: Path) -> Self:
        place = {"model": str(folder), "vocabulary": "all", "allow_pickle": False}
        return type(self).model_validate({**self.model_dump(), **place})

    def load_trained(self, folder: Path) -> PreTrainedModel:
        if _weights.read_config(folder, "")["model_type"] == _mean_pooling.MODEL_TYPE:
            return _mean_pooling.load(folder)
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        own = getattr(transformers, config.architectures[0])
        assert issubclass(own, transformers.PreTrainedModel)
        model: PreTrainedModel = own.from_pretrained(folder, use_safetensors=True)
        return model

    def preprocessor(self) -> Any:
        """The same tokenizer at each call: nobody changes it. It is made to know how many tokens
        the model has positions for: not every one does."""
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = self.load_preprocessor(self.folder)
        if self._positions is not None:
            tokenizer.model_max_length = min(tokenizer.model_max_length, self._positions)
        return tokenizer

    def load_preprocessor(self, folder: Path) -> Any:
        _own_models.register_for(folder)
        try:
            return _tokenizer.load(folder)
        except Exception as error:  # transformers raises a dozen kinds
            raise _weights.unreadable("tokenizer", f"{self.role}.model", folder, error) from None

    @cached_property
    def _positions(self) -> int | None:
        where, config = f"{self.role}.model", self._bare_config()
        try:
            return _tokenizer.positions(config)
        except Exception as error:
            raise _weights.unreadable("architecture", where, self.folder, error) from None

    def fingerprint(self) -> str:
        files = _weights.hash_folder(self.folder, _weights.ALL_FILES)
        settings = self.model_dump(mode="json", include=set(Huggingface.model_fields))
        del settings["model"], settings["revision"]  # where the files lie does not matter
        return hashlib.sha256((files + json.dumps(settings, sort_keys=True)).encode()).hexdigest()

    def size(self) -> ModelSize:
        config = _weights.read_config(self.folder, f"{self.role}.model")
        config = {**config, **config.get("body", {}), **self.config}
        if self.layers is None:
            return _layers.size(config, _layers.stacks(config))
        self._require_cuttable(_layers.why_uncut(config))
        return _layers.size(config, {"": len(self._kept(_layers.stacks(config)[""]))})

    def _require_cuttable(self, reason: str) -> None:
        if reason:
            where = f"{self.role}.layers"
            raise InputError(
                Problem(
                    f"the layers of this model cannot be chosen: {reason}", where=where,
                    got=str(self.layers), allowed="null, which keeps all",
                    remedy=f"{where}=null, or another {self.role}.model",
                )
            )  # fmt: skip

    def _config(self) -> Any:
        """The configuration of a classifier that gives one label, whatever the model was before."""
        config = self._bare_config()
        config.pad_token_id = self.preprocessor().pad_token_id
        return config

    def _bare_config(self) -> Any:
        config = copy.deepcopy(self._own_config)
        _config_changes.apply(config, self.config, self.role, self.folder, self.weights)
        config.problem_type = "single_label_classification"
        for leftover in {"task_specific_params", "finetuning_task"} & vars(config).keys():
            setattr(config, leftover, None)
        return config

    @cached_property
    def _own_config(self) -> Any:
        """config.json as it lies there."""
        _own_models.register_for(self.folder)
        try:
            return transformers.AutoConfig.from_pretrained(self.folder, trust_remote_code=False)
        except Exception as error:  # as for the tokenizer; and a model that brings its own code
            where = f"{self.role}.model"
            raise _weights.unreadable("config.json", where, self.folder, error) from None

    def _load(self, config: Any, kind: Kind, **options: Any) -> Any:
        reads_mean = self._reads_mean(config, kind)
        auto = transformers.AutoModel if reads_mean else getattr(transformers, kind.architecture)
        if self.weights == "random":
            found = auto.from_config(config, trust_remote_code=False)
        else:
            self.require_files()
            found = auto.from_pretrained(
                self.folder, config=config, dtype=torch.float32, trust_remote_code=False,
                use_safetensors=None if self.allow_pickle else True, **options,
            )  # fmt: skip
        if not reads_mean:
            return found
        model, *told = found if isinstance(found, tuple) else (found,)
        model = _mean_pooling.classifier(model)
        return (model, *told) if told else model

    def _reads_mean(self, config: Any, kind: Kind) -> bool:
        """Whether a new head is put on the mean of the hidden states: of models that answer once
        for each text, and have not got such a head already."""
        if self.pooling != "mean" or kind.architecture != "AutoModelForSequenceClassification":
            return False
        if config.is_encoder_decoder:
            raise InputError(
                Problem(
                    "a model with a decoder has no hidden states of its own to take the mean of",
                    where=f"{self.role}.pooling", got="mean", allowed="head",
                    remedy=f"{self.role}.pooling=head",
                )
            )  # fmt: skip
        return bool(config.model_type != _mean_pooling.MODEL_TYPE)

    def _cut(self, model: PreTrainedModel) -> PreTrainedModel:
        if self.layers is not None:
            try:
                _layers.cut(model, self._kept(int(model.config.num_hidden_layers)))
            except (ValueError, AttributeError) as error:
                self._require_cuttable(str(error))
        return model

    def _kept(self, total: int) -> tuple[int, ...]:
        if self.layers is None:
            return tuple(range(total))
        return _layers.chosen(self.layers, total, self.role)


def _name_labels(config: Any, labels: Sequence[str]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
