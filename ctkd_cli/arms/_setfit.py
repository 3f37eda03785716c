"""SetFit itself, by its own library (Tunstall et al. 2022, arXiv 2209.11055): a body tuned on pairs
of labelled texts, and a logistic regression on what it makes of them."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INSTALL = 'pip install "ctkd[rivals]"'
ITERATIONS = 20  # pairs of each sort, alike and unlike, for each text: the paper's R
BATCH, STEPS = 16, 500  # pairs in a step; steps at most, which binds beyond 200 texts
FLOOR = 1e-12  # of a probability

Answer = Callable[[Sequence[str]], np.ndarray]  # texts -> log-probabilities [n, K]


def why_not() -> str:
    """Why SetFit cannot run here, with what to do about it; "" where it can."""
    missing = [name for name in ("setfit", "sentence_transformers") if find_spec(name) is None]
    return f"{' and '.join(missing)} not installed here. {INSTALL}" if missing else ""


def n_steps(n_texts: int) -> int:
    """Of a training on so many labelled texts."""
    return min(STEPS, math.ceil(2 * ITERATIONS * n_texts / BATCH))


def train(
    model: PreTrainedModel,
    save_preprocessor: Callable[[Path], None],
    texts: Sequence[str],
    gold: np.ndarray,
    n_labels: int,
    seed: int,
    device: str,
) -> Answer:
    """SetFit with a model's body, its library's settings but for the paper's number of pairs and a
    bound on steps. gold: [n] label indices."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its libraries say to each other
        from datasets import Dataset
        from sentence_transformers import SentenceTransformer, models
        from setfit import SetFitModel, Trainer, TrainingArguments
        from sklearn.linear_model import LogisticRegression

        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            model.base_model.save_pretrained(folder / "body")
            save_preprocessor(folder / "body")
            tokens = models.Transformer(str(folder / "body"))
            width = getattr(tokens, "get_embedding_dimension", None)  # its newer name
            pooling = models.Pooling((width or tokens.get_word_embedding_dimension)())
            body = SentenceTransformer(modules=[tokens, pooling], device=device)
            found = SetFitModel(model_body=body, model_head=LogisticRegression())
            bounded = n_steps(len(texts)) == STEPS
            arguments = TrainingArguments(
                output_dir=str(folder / "out"), max_steps=STEPS if bounded else -1,
                batch_size=BATCH, num_epochs=1, num_iterations=ITERATIONS, seed=seed,
                save_strategy="no", report_to="none", show_progress_bar=False,
            )  # fmt: skip
            data = Dataset.from_dict({"text": [*texts], "label": gold.tolist()})
            logging.getLogger("setfit").setLevel(logging.ERROR)
            Trainer(model=found, args=arguments, train_dataset=data).train()

    def answer(asked: Sequence[str]) -> np.ndarray:
        whole = np.full((len(asked), n_labels), FLOOR)
        whole[:, found.model_head.classes_] = found.predict_proba([*asked], as_numpy=True)
        return np.asarray(np.log(np.maximum(whole, FLOOR)))

    return answer
