"""The objective: L = CE + lambda * sum of terms, on a model with what its losses need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ctkd_cli.distillation.losses.base import Sizes, StudentOutputs, TeacherOutputs
from ctkd_cli.runtime import parallel
from ctkd_cli.tasks.kinds.base import Batch
from ctkd_cli.training.contrastive import pair_loss

if TYPE_CHECKING:
    from ctkd_cli.distillation.terms import Distillation, OnConflict, Term
    from ctkd_cli.training.inference import LoadedModel


class Objective(nn.Module):
    """A model with the parts of its loss: projectors, which train with it, and teachers' heads,
    which do not."""

    class_weights: Tensor | None

    def __init__(
        self,
        loaded: LoadedModel,
        distillation: Distillation | None,
        label_smoothing: float,
        pairs: bool = False,
        class_weights: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.model = loaded.model
        self.backbone, self.kind = loaded.backbone, loaded.kind
        self.label_smoothing, self.pairs = label_smoothing, pairs
        weights = None if class_weights is None else torch.as_tensor(class_weights).float()
        self.register_buffer("class_weights", weights, persistent=False)
        self.on_conflict: OnConflict = distillation.on_conflict if distillation else "keep"
        self.names: list[str] = []
        self.parts = nn.ModuleList()
        if distillation is None:
            return
        head = self.backbone.head(self.model)
        assert head is not None, "a student has a head"
        terms = distillation.terms
        self.names = [term.name for term in terms]
        for term in terms:
            constants = {name: torch.as_tensor(a) for name, a in terms.constants(term).items()}
            self.parts.append(_TermPart(term, constants, head.in_features, head.out_features))

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        where: Tensor | None,
        counts: Sequence[int] | None,
        labels: Tensor,
        teacher: Sequence[Mapping[str, Tensor]] | None,
        lambda_: float,
        measure: bool,
    ) -> dict[str, Tensor]:
        """The loss of a batch, and what it is made of: `ce`, `kd` (the sum of the terms), and with
        several terms `kd/NAME` for each.

        inputs, where: of this process's rows of the batch (parallel.own_rows), all of them where
        there is one process; see Batch. counts: [B], positions of each example of the whole batch;
        None: one. labels: [S] of all of them. teacher: Terms.at of all of them. measure: also
        `kd_share` (with several terms, `kd_share/NAME`), the share of the gradient norm on the
        features.
        """
        own = self.backbone.forward(self.model, Batch(inputs, where))
        assert own.features is not None, "a student has features"
        bounds = parallel.shares(counts, len(labels) if counts is None else len(counts))
        logits, features = (parallel.whole(part, bounds) for part in (own.logits, own.features))
        if self.pairs:
            loss = pair_loss(features, labels)
            return {"loss": loss, "pairs": loss}
        ce = self.kind.loss(logits, labels, self.label_smoothing, self.class_weights)
        if teacher is None or not self.parts:
            return {"loss": ce, "ce": ce}
        with torch.autocast(features.device.type, enabled=False):
            said = StudentOutputs(logits.float(), features.float(), labels)
            kds = [
                part(said, self.kind.align(said, heard))
                for part, heard in zip(self.parts, teacher, strict=True)
            ]
        kd = torch.stack(kds).sum()
        training = torch.is_grad_enabled()
        if self.on_conflict != "keep" and training and kd.requires_grad:
            figures = self._without_conflict(ce, lambda_ * kd)
        else:
            figures = {"loss": ce + lambda_ * kd}
        figures |= {"ce": ce, "kd": kd} | self._named("kd", kds)
        if measure and training:
            where_read = own.features if own.read is None else own.read
            shares = gradient_shares(where_read, ce, [lambda_ * kd for kd in kds])
            figures |= {"kd_share": torch.stack(shares).sum()} | self._named("kd_share", shares)
        return figures

    def _named(self, figure: str, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """A figure of each term, where there is more than one."""
        if len(values) == 1:
            return {}
        return {f"{figure}/{name}": v for name, v in zip(self.names, values, strict=True)}

    def _without_conflict(self, ce: Tensor, kd: Tensor) -> dict[str, Tensor]:
        """The loss without what of the distillation gradient points against cross-entropy's.

        drop: no distillation in a step in which the two gradients on the model have a negative
        inner product (Du et al. 2018, arXiv 1812.02224). project: only its component along
        cross-entropy's gradient is taken out (Yu et al., PCGrad, NeurIPS 2020, arXiv 2001.06782).
        Two more backward passes.
        """
        parameters = [p for p in self.model.parameters() if p.requires_grad]

        def gradient(term: Tensor) -> list[Tensor]:
            found = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            filled = [
                torch.zeros_like(p) if g is None else g
                for g, p in zip(found, parameters, strict=True)
            ]
            return parallel.mean(filled)

        first, second = gradient(ce), gradient(kd)
        inner = torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()
        conflict = (inner < 0).float()
        if self.on_conflict == "drop":
            loss = ce + (1 - conflict) * kd
        else:
            norm = torch.stack([g.square().sum() for g in first]).sum().clamp_min(1e-12)
            along = (inner / norm).detach()  # g_kd - (g_kd . g_ce / |g_ce|^2) g_ce
            loss = ce + kd - conflict * along * ce
        return {"loss": loss, "conflict": conflict}


class _TermPart(nn.Module):
    """A loss with its projector, and what is the same of its teacher at every position: the frozen
    head, the label map."""

    def __init__(
        self, term: Term, constants: Mapping[str, Tensor], student_width: int, n_labels: int
    ) -> None:
        super().__init__()
        self.loss = term.loss
        n_source_labels, teacher_width = constants["head_weight"].shape
        self.projector = term.loss.projector(
            Sizes(student_width, teacher_width, n_source_labels, n_labels)
        )
        self.constants = list(constants)
        for name, tensor in constants.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, said: StudentOutputs, heard: Mapping[str, Tensor]) -> Tensor:
        """The term's value, weighted: a scalar."""
        most = self.loss.max_rows
        if most is not None and len(said.labels) > most:
            drawn = torch.randperm(len(said.labels))[:most].to(said.labels.device)
            said = StudentOutputs(said.logits[drawn], said.features[drawn], said.labels[drawn])
            heard = {name: tensor[drawn] for name, tensor in heard.items()}
        teacher = TeacherOutputs(
            **{name: tensor for name, tensor in heard.items() if name != "weight"},
            **{name: getattr(self, name) for name in self.constants},
        )
        value: Tensor = self.loss(said, teacher, self.projector)
        return (heard["weight"] * value).mean()


def gradient_shares(features: Tensor, ce: Tensor, kds: Sequence[Tensor]) -> list[Tensor]:
    """Share of each term in the sum of gradient norms on the student's features, in [0, 1]; what
    is missing to 1 is cross-entropy's."""

    def norm_of(term: Tensor) -> Tensor:
        if not term.requires_grad:  # no example of the batch concerns it
            return features.new_zeros(())
        (gradient,) = torch.autograd.grad(term, features, retain_graph=True, allow_unused=True)
        norm: Tensor = features.new_zeros(()) if gradient is None else gradient.norm()
        return norm

    norms = torch.stack([norm_of(term) for term in (ce, *kds)])
    return list((norms / norms.sum().clamp_min(1e-12))[1:])
