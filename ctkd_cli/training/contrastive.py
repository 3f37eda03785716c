"""Learning from pairs: features of examples with one label move together, others apart.

What SetFit does to a sentence encoder with a few labelled examples (Tunstall et al. 2022, arXiv
2209.11055), on all pairs of a batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ctkd_cli.training.batches import Plan


def plan_of_pairs(gold: np.ndarray, rows: np.ndarray, steps: int, size: int, seed: int) -> Plan:
    """Batches in which every example has a partner of its own label: another one where there is
    one, else itself, which dropout makes another. gold: [n], of the labelled rows [n]; labels are
    drawn with equal chances."""
    generator = np.random.default_rng([seed, 7])
    of_label = [rows[gold == label] for label in np.unique(gold)]
    pairs = max(1, size // 2)
    planned = np.empty((steps, 2 * pairs), dtype=np.int64)
    for step in range(steps):
        drawn = generator.permutation(len(of_label))
        for pair in range(pairs):
            alike = of_label[drawn[pair % len(drawn)]]
            both = generator.choice(alike, 2, replace=len(alike) < 2)
            planned[step, 2 * pair : 2 * pair + 2] = both
    return Plan(planned, np.empty((steps, 0), dtype=np.int64))


def pair_loss(features: Tensor, labels: Tensor) -> Tensor:
    """Mean square of cosine similarity less 1 over pairs of one label, plus that of cosine
    similarity over pairs of two, half each. features: [B, d], labels: [B] -> a scalar."""
    unit = normalize(features.float(), dim=-1)
    similarity = unit @ unit.T
    apart = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    alike = (labels[:, None] == labels[None, :]) & apart
    other = ~alike & apart
    near = (similarity[alike] - 1).square().sum() / alike.sum().clamp_min(1)
    far = similarity[other].square().sum() / other.sum().clamp_min(1)
    return (near + far) / 2
