"""kl, mapped_kl: against numpy written from the formulas, and against the known pitfalls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from ctkd_cli.distillation.bridges.identity import Identity
from ctkd_cli.distillation.losses.base import StudentOutputs, TeacherOutputs
from ctkd_cli.distillation.losses.kl import Kl, soft_kl
from ctkd_cli.distillation.losses.mapped_kl import MappedKl, mapped_kl

GENERATOR = np.random.default_rng(0)
TEACHER = GENERATOR.normal(size=(6, 3))
STUDENT = GENERATOR.normal(size=(6, 3))


def outputs(
    teacher: np.ndarray, student: np.ndarray, shared: list[list[int]], weights: np.ndarray
) -> tuple[StudentOutputs, TeacherOutputs]:
    joint = softmax(teacher, axis=1) @ weights
    mass = joint.sum(axis=1)
    width = 2
    return (
        StudentOutputs(
            torch.tensor(student), torch.zeros(len(student), width), torch.full((len(student),), -1)
        ),
        TeacherOutputs(
            logits=torch.tensor(teacher),
            features=torch.zeros(len(teacher), width),
            head_weight=torch.zeros(teacher.shape[1], width),
            head_bias=torch.zeros(teacher.shape[1]),
            mapped=torch.tensor(joint / mass[:, None]),
            mass=torch.tensor(mass),
            label_map=torch.tensor(weights),
            shared=torch.tensor(shared),
            targets=torch.tensor(joint),
        ),
    )


@pytest.mark.parametrize("tau", [1.0, 2.0, 5.0])
def test_soft_kl_is_the_formula(tau: float) -> None:
    log_p, log_q = log_softmax(TEACHER / tau, axis=1), log_softmax(STUDENT / tau, axis=1)
    expected = tau**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    got = soft_kl(torch.tensor(TEACHER), torch.tensor(STUDENT), tau)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)


def test_soft_kl_by_hand() -> None:
    # p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 ln(3/2) + 1/4 ln(1/2)
    teacher, student = torch.tensor([[np.log(3.0), 0.0]]), torch.zeros(1, 2)
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert soft_kl(teacher, student, 1.0).mean().item() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_keeps_its_size_when_the_temperature_changes() -> None:
    norms = []
    for tau in (1.0, 2.0, 4.0, 8.0):
        student = torch.tensor(0.1 * STUDENT, requires_grad=True)
        soft_kl(torch.tensor(0.1 * TEACHER), student, tau).mean().backward()
        norms.append(student.grad.norm().item())
    assert max(norms) / min(norms) < 1.15  # without tau^2 it would fall 64-fold


def test_the_gradient_is_right() -> None:
    student = torch.tensor(STUDENT, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: soft_kl(torch.tensor(TEACHER), z, 2.0), student)
    soft_kl(torch.tensor(TEACHER), student, 2.0).sum().backward()
    # d/dz_S of tau^2 KL = tau (softmax(z_S / tau) - softmax(z_T / tau))
    expected = 2.0 * (softmax(STUDENT / 2, axis=1) - softmax(TEACHER / 2, axis=1))
    np.testing.assert_allclose(student.grad.numpy(), expected, atol=1e-12)


def test_identity_map_gives_exactly_kl() -> None:
    labels = ("a", "b", "c")
    weights = Identity().fit(labels, labels).weights
    student, teacher = outputs(TEACHER, STUDENT, [[0, 0], [1, 1], [2, 2]], weights)
    plain = Kl(temperature=3.0)(student, teacher, None)
    mapped = MappedKl(temperature=3.0)(student, teacher, None)
    torch.testing.assert_close(mapped, plain)


def test_kl_on_two_of_three_labels() -> None:
    """Both sides are restricted to the shared labels; the teacher's mass on them is the weight."""
    student, teacher = outputs(TEACHER, STUDENT, [[0, 2], [1, 0]], np.eye(3))
    t, s = TEACHER[:, [0, 1]], STUDENT[:, [2, 0]]
    log_p, log_q = log_softmax(t / 2, axis=1), log_softmax(s / 2, axis=1)
    divergence = 4 * (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    mass = softmax(TEACHER, axis=1)[:, [0, 1]].sum(axis=1)
    got = Kl(temperature=2.0)(student, teacher, None)
    assert got.mean().item() == pytest.approx((mass * divergence).mean(), rel=1e-5)


def test_map_first_soften_second() -> None:
    """Two source labels lead to target label 0: at a high temperature a teacher that softened
    first would give it twice the mass of label 1."""
    weights = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    q = softmax(TEACHER, axis=1) @ weights
    tau = 4.0
    soft = q ** (1 / tau) / (q ** (1 / tau)).sum(axis=1, keepdims=True)
    log_student = log_softmax(STUDENT[:, :2] / tau, axis=1)
    expected = (tau**2 * (soft * (np.log(soft) - log_student)).sum(axis=1)).mean()
    got = mapped_kl(
        torch.tensor(q), torch.ones(6), torch.tensor(STUDENT[:, :2]), torch.tensor(weights), tau
    )
    assert got.mean().item() == pytest.approx(expected, rel=1e-5)


def test_unmapped_mass_weighs_the_term() -> None:
    q, logits = torch.tensor([[0.9, 0.1]]), torch.zeros(1, 2)
    full = mapped_kl(q, torch.ones(1), logits, torch.eye(2), 1.0)
    half = mapped_kl(q, torch.full((1,), 0.5), logits, torch.eye(2), 1.0)
    assert half.mean().item() == pytest.approx(full.item() / 2)


def test_a_target_label_without_a_source_is_left_to_the_labels() -> None:
    """No source label leads to target label 2, so its logit gets no gradient at all."""
    logits = torch.zeros(1, 3, requires_grad=True)
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    mapped_kl(torch.tensor([[0.8, 0.2, 0.0]]), torch.ones(1), logits, weights, 2.0).backward()
    assert logits.grad[0, 2] == 0
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_the_mean_does_not_depend_on_the_batch_size() -> None:
    """Pitfalls: `reduction="mean"` divides by the number of labels too."""
    once = soft_kl(torch.tensor(TEACHER), torch.tensor(STUDENT), 2.0).mean()
    twice = soft_kl(torch.tensor(TEACHER).repeat(2, 1), torch.tensor(STUDENT).repeat(2, 1), 2.0)
    assert twice.mean().item() == pytest.approx(once.item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_certain_teachers_stay_finite(dtype: torch.dtype) -> None:
    teacher = torch.tensor([[60.0, -60.0]], dtype=dtype)
    student = torch.tensor([[-60.0, 60.0]], dtype=dtype, requires_grad=True)
    loss = soft_kl(teacher, student, 1.0).mean()
    loss.backward()
    assert loss.mean().item() == pytest.approx(120.0, rel=1e-2)
    assert torch.isfinite(student.grad).all()


def test_one_hot_mapping_stays_finite() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = mapped_kl(torch.tensor([[1.0, 0.0]]), torch.ones(1), logits, torch.eye(2), 1.0)
    loss.backward()
    assert loss.mean().item() == pytest.approx(np.log(2), abs=1e-6)
    assert torch.isfinite(logits.grad).all()
