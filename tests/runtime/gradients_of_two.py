"""Run by torchrun: the gradients of two processes, each with a part of the batch, are those of one.

Not a test module: test_parallel.py starts it. Optimisers hide a wrong factor, so this looks at the
gradients themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from teachers import knowledge, terms_of
from torch.nn.parallel import DistributedDataParallel
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

from ctkd_cli.backbones.huggingface import Huggingface
from ctkd_cli.distillation.losses.hint import Hint
from ctkd_cli.distillation.losses.rkd import Rkd
from ctkd_cli.distillation.schedules.constant import Constant
from ctkd_cli.distillation.terms import Distillation
from ctkd_cli.runtime import parallel
from ctkd_cli.runtime.devices import Device
from ctkd_cli.tasks.kinds.text import Text
from ctkd_cli.training.inference import LoadedModel
from ctkd_cli.training.objective import Objective

N, K = 5, 3  # 5 rows: 2 for the first process, 3 for the second
COUNTS = [3, 1, 2, 4, 2]  # words of each row


def objective(model_class: Any, n: int) -> tuple[Objective, Distillation]:
    terms = terms_of(knowledge(n, width=6), (Hint(name="hint"), 1.0), (Rkd(name="rkd"), 1.0))
    taught = Distillation(terms, 1.0, Constant())
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, num_labels=K, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
    )  # fmt: skip
    backbone, device = Huggingface(model="none"), Device(accelerator="cpu")
    loaded = LoadedModel(model_class(config), backbone, None, Text(), device)
    return Objective(loaded, taught, 0.1), taught


def gradients(
    model: torch.nn.Module, taught: Distillation, counts: list[int] | None
) -> dict[str, torch.Tensor]:
    tokens = torch.from_numpy(np.random.default_rng(1).integers(1, 50, (N, 7)))
    own = parallel.own_rows(list(range(N)))
    n = N if counts is None else sum(counts)
    where = None
    if counts is not None:  # the first tokens of each row are its words
        places = [7 * at + word for at, row in enumerate(own) for word in range(counts[row])]
        where = torch.tensor(places)
    found = model(
        inputs={"input_ids": tokens[own], "attention_mask": torch.ones_like(tokens[own])},
        where=where,
        counts=counts,
        # The second process has one labelled row, or labels in its first row alone.
        labels=torch.tensor(([0, 1, 2, -1, -1, 1] + [-1] * n)[:n]),
        teacher=taught.terms.at(np.arange(n), np.zeros(n, np.int64)),
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
for model_class, counts in (
    (BertForSequenceClassification, None), (BertForTokenClassification, COUNTS),
):  # fmt: skip
    n = N if counts is None else sum(counts)
    with parallel.alone():
        expected = gradients(*objective(model_class, n), counts)
    single, taught = objective(model_class, n)
    whole = DistributedDataParallel(single, find_unused_parameters=True)
    shared = gradients(whole, taught, counts)
    assert set(shared) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(shared[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    print(f"{len(expected)} gradients agree")
