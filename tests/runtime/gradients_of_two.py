"""Run by torchrun: the gradients of two processes, each with a part of the batch, are those of one.

Not a test module: test_parallel.py starts it. Optimisers hide a wrong factor, so this looks at the
gradients themselves.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import BertConfig, BertForSequenceClassification

from ctkd_cli.distillation.losses.hint import Hint
from ctkd_cli.distillation.losses.rkd import Rkd
from ctkd_cli.distillation.schedules.constant import Constant
from ctkd_cli.distillation.signals import Signals
from ctkd_cli.distillation.terms import Term
from ctkd_cli.runtime import parallel
from ctkd_cli.training.objective import Learner, Teaching

N, K, WIDTH = 5, 3, 6  # 5 rows: 2 for the first process, 3 for the second


def learner() -> tuple[Learner, Teaching]:
    generator = np.random.default_rng(0)
    heard = Signals(
        logits=generator.normal(size=(N, K)).astype(np.float32),
        features=generator.normal(size=(N, WIDTH)).astype(np.float32),
        mapped=np.full((N, K), 1 / K, np.float32),
        mass=np.ones(N, np.float32),
        head_weight=generator.normal(size=(K, WIDTH)).astype(np.float32),
        head_bias=np.zeros(K, np.float32),
        label_map=np.eye(K, dtype=np.float32),
        shared=np.array([[0, 0], [1, 1], [2, 2]]),
        targets=np.full((N, K), 1 / K, np.float32),
    )
    terms = tuple(Term(loss.name, loss, heard, np.ones(N)) for loss in (Hint(), Rkd()))
    teaching = Teaching(terms, 1.0, Constant())
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, num_labels=K, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
    )  # fmt: skip
    return Learner(BertForSequenceClassification(config), teaching, 0.1), teaching


def gradients(model: torch.nn.Module, teaching: Teaching) -> dict[str, torch.Tensor]:
    tokens = torch.from_numpy(np.random.default_rng(1).integers(1, 50, (N, 7)))
    own = parallel.own_rows(list(range(N)))
    found = model(
        inputs={"input_ids": tokens[own], "attention_mask": torch.ones_like(tokens[own])},
        labels=torch.tensor([0, 1, 2, -1, -1]),  # the second process has one labelled row
        teacher=teaching.rows(np.arange(N)),
        lambda_=0.7,
        measure=True,
    )
    found["loss"].backward()
    return {
        name.removeprefix("module."): parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


parallel.start()
assert parallel.world() == 2
with parallel.alone():
    expected = gradients(*learner())
single, teaching = learner()
shared = gradients(DistributedDataParallel(single, find_unused_parameters=True), teaching)
assert set(shared) == set(expected)
for name, gradient in expected.items():
    torch.testing.assert_close(shared[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
print(f"{len(expected)} gradients agree")
