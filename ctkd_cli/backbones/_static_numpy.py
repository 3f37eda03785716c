"""Answers of a static student, with numpy and tokenizers alone.

student = StaticStudent("path/to/student")
student.labels, student.probabilities(["a text", "another"])  # [K], [n, K]
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

EPSILON = 1e-5  # as in torch's layer_norm


class StaticStudent:
    """The weights of a student's folder."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.labels = [config["id2label"][str(k)] for k in range(len(config["id2label"]))]
        reads = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # `[SEP]` in a text is text
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(reads["model_max_length"])
        weights = _read_safetensors(folder / "model.safetensors")
        self.vectors = weights["embeddings.weight"]  # [V, d]
        self.weight, self.bias = weights["classifier.weight"], weights["classifier.bias"]

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[n, K], in the order of `labels`."""
        means = np.zeros((len(texts), self.vectors.shape[1]), np.float32)
        for mean, encoded in zip(means, self.tokenizer.encode_batch_fast(list(texts)), strict=True):
            if encoded.ids:
                mean[:] = self.vectors[encoded.ids].mean(axis=0)
        deviation = np.sqrt(means.var(axis=1, keepdims=True) + EPSILON)
        read = (means - means.mean(axis=1, keepdims=True)) / deviation
        logits = read @ self.weight.T + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, float32: its header's length, its header, their bytes."""
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    found = {}
    for name, each in header.items():
        if name != "__metadata__":
            first, last = (start + offset for offset in each["data_offsets"])
            found[name] = np.frombuffer(data[first:last], "<f4").reshape(each["shape"])
    return found
