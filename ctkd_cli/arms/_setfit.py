"""SetFit itself, by its own library (Tunstall et al. 2022, arXiv 2209.11055): a body tuned on pairs
of labelled texts, and a logistic regression on what it makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INSTALL = 'pip install "ctkd[rivals]"'
STEPS = 500  # of 16 pairs, at most: with few labels all pairs are seen once, which takes fewer
FLOOR = 1e-12  # of a probability

Answer = Callable[[Sequence[str]], np.ndarray]  # texts -> log-probabilities [n, K]


def why_not() -> str:
    """Why SetFit cannot run here, with what to do about it; "" where it can."""
    missing = [name for name in ("setfit", "sentence_transformers") if find_spec(name) is None]
    return f"{' and '.join(missing)} not installed here. {INSTALL}" if missing else ""


def train(
    model: PreTrainedModel,
    save_preprocessor: Callable[[Path], None],
    texts: Sequence[str],
    gold: np.ndarray,
    n_labels: int,
    seed: int,
    device: str,
) -> Answer:
    """SetFit with a model's body, its own settings as they are but for a bound on steps. gold: [n]
    label indices."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model.base_model.save_pretrained(folder / "body")
        save_preprocessor(folder / "body")
        tokens = models.Transformer(str(folder / "body"))
        pooling = models.Pooling(tokens.get_word_embedding_dimension())
        body = SentenceTransformer(modules=[tokens, pooling], device=device)
        found = SetFitModel(model_body=body, model_head=LogisticRegression())
        arguments = TrainingArguments(
            output_dir=str(folder / "out"), max_steps=-1, batch_size=16, num_epochs=1, seed=seed,
            save_strategy="no", report_to="none", show_progress_bar=False,
        )  # fmt: skip
        data = Dataset.from_dict({"text": [*texts], "label": gold.tolist()})
        Trainer(model=found, args=arguments, train_dataset=data).train()

    def answer(asked: Sequence[str]) -> np.ndarray:
        whole = np.full((len(asked), n_labels), FLOOR)
        whole[:, found.model_head.classes_] = found.predict_proba([*asked], as_numpy=True)
        return np.asarray(np.log(np.maximum(whole, FLOOR)))

    return answer
