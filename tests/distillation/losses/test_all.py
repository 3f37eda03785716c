"""Every loss: its paper's formula in float64, its gradient, its degenerate inputs, its scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import pearsonr
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from teachers import targets_of

from ctkd_cli.data._ids import Ids
from ctkd_cli.distillation import knowledge
from ctkd_cli.distillation.folds import best_cross_fitted, cross_fitted, deal
from ctkd_cli.distillation.losses.base import Loss, Sizes, StudentOutputs, TeacherOutputs
from ctkd_cli.distillation.losses.center_kl import CenterKl, centres, closeness, cosines
from ctkd_cli.distillation.losses.cka import linear_cka
from ctkd_cli.distillation.losses.cosine import cosine
from ctkd_cli.distillation.losses.cotuning import implied_source
from ctkd_cli.distillation.losses.crd import contrastive
from ctkd_cli.distillation.losses.dist import dist
from ctkd_cli.distillation.losses.dkd import dkd
from ctkd_cli.distillation.losses.inverted_proj import inverted_projection
from ctkd_cli.distillation.losses.kl_std import kl_std
from ctkd_cli.distillation.losses.mse_logits import mse_logits
from ctkd_cli.distillation.losses.pkt import pkt
from ctkd_cli.distillation.losses.probe_kl import ProbeKl
from ctkd_cli.distillation.losses.rkd import angle_loss, distance_loss
from ctkd_cli.distillation.losses.sp import similarity_preserving
from ctkd_cli.distillation.losses.theta_ce import theta_ce
from ctkd_cli.distillation.losses.vkd import Vkd, vkd
from ctkd_cli.distillation.probe import linear_probe, linear_probes
from ctkd_cli.settings.component import available, find
from ctkd_cli.tasks.positions import Labels

GENERATOR = np.random.default_rng(0)
T, S = GENERATOR.normal(size=(6, 4)), GENERATOR.normal(size=(6, 4))  # logits, or features
WIDE = GENERATOR.normal(size=(6, 7))
t, s, wide = torch.tensor(T), torch.tensor(S), torch.tensor(WIDE)


def smooth_l1(x: np.ndarray) -> float:
    return float(np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5).mean())


def layer_norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def test_cosine() -> None:
    expected = 1 - (T * S).sum(1) / np.linalg.norm(T, axis=1) / np.linalg.norm(S, axis=1)
    assert cosine(s, t).mean().item() == pytest.approx(expected.mean())


def test_cka_on_features_as_the_paper_writes_it() -> None:
    x, y = S - S.mean(0), WIDE - WIDE.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)
    assert linear_cka(s, wide).mean().item() == pytest.approx(expected)
    rotation = np.linalg.qr(GENERATOR.normal(size=(4, 4)))[0]
    assert linear_cka(s, torch.tensor(3 * S @ rotation + 1)).mean().item() == pytest.approx(1)


def test_sp() -> None:
    def rows(h: np.ndarray) -> np.ndarray:
        gram = h @ h.T
        return gram / np.linalg.norm(gram, axis=1, keepdims=True)

    expected = np.linalg.norm(rows(WIDE) - rows(S)) ** 2 / 6
    assert similarity_preserving(s, wide).mean().item() == pytest.approx(expected)


def test_theta_ce_is_soft_cross_entropy() -> None:
    y = softmax(T, axis=1)
    expected = -(y * log_softmax(S, axis=1)).sum(1).mean()
    assert theta_ce(s, torch.tensor(y)).mean().item() == pytest.approx(expected)
    entropy = -(y * np.log(y)).sum(1).mean()
    assert theta_ce(t, torch.tensor(y)).mean().item() == pytest.approx(entropy)  # the minimum


def test_inverted_projection() -> None:
    expected = ((layer_norm(T) - layer_norm(S)) ** 2).mean()
    assert inverted_projection(s, t).mean().item() == pytest.approx(expected)


def test_vkd() -> None:
    assert vkd(s, t).mean().item() == pytest.approx(smooth_l1(S - layer_norm(T)))


def test_vkds_projector_is_orthogonal() -> None:
    weight = Vkd().projector(Sizes(3, 5, 2, 2)).weight  # [5, 3]
    torch.testing.assert_close(weight.T @ weight, torch.eye(3), atol=1e-5, rtol=0)


def test_rkd() -> None:
    def distances(h: np.ndarray) -> np.ndarray:
        pairs = [np.linalg.norm(h[i] - h[j]) for i in range(6) for j in range(6) if i != j]
        return np.array(pairs) / np.mean(pairs)

    def angles(h: np.ndarray) -> np.ndarray:
        found = []
        for j in range(6):
            for i in range(6):
                for k in range(6):
                    a, b = h[i] - h[j], h[k] - h[j]
                    norm = np.linalg.norm(a) * np.linalg.norm(b)
                    found.append(a @ b / norm if norm > 0 else 0.0)
        return np.array(found)

    assert distance_loss(s, wide).mean().item() == pytest.approx(
        smooth_l1(distances(S) - distances(WIDE))
    )
    assert angle_loss(s, wide).mean().item() == pytest.approx(smooth_l1(angles(S) - angles(WIDE)))


def test_implied_source_is_bayes() -> None:
    w, prior = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.25, 0.75])
    joint = w * prior[:, None]
    reverse = joint / joint.sum(0)
    mapped = np.array([[0.5, 0.5], [0.3, 0.7]])
    got = implied_source(
        torch.tensor(w), torch.tensor(prior), torch.tensor(mapped), torch.tensor([1, -1])
    )
    np.testing.assert_allclose(got[0], reverse[:, 1])
    np.testing.assert_allclose(got[1], reverse @ mapped[1])


def test_kl_std() -> None:
    def z(x: np.ndarray) -> np.ndarray:
        return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)

    log_p, log_q = log_softmax(z(T) / 2, axis=1), log_softmax(z(S) / 2, axis=1)
    expected = 4 * (np.exp(log_p) * (log_p - log_q)).sum(1)
    np.testing.assert_allclose(kl_std(t, s, 2.0), expected)
    np.testing.assert_allclose(kl_std(5 * t + 3, s, 2.0), expected)  # scale and shift do not count


def test_dkd_adds_up_to_kl() -> None:
    """KL = TCKD + (1 - p_gold) NCKD, the paper's equation 7."""
    gold = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 3, 0, 1]), 4).bool()
    tau = 2.0
    tckd = dkd(t, s, gold, tau, rest=0.0).numpy()
    nckd = dkd(t, s, gold, tau, rest=1.0).numpy() - tckd
    log_p, log_q = log_softmax(T / tau, axis=1), log_softmax(S / tau, axis=1)
    kl = tau**2 * (np.exp(log_p) * (log_p - log_q)).sum(1)
    p_gold = np.exp(log_p)[gold.numpy()]
    np.testing.assert_allclose(tckd + (1 - p_gold) * nckd, kl, rtol=1e-6)


def test_dist() -> None:
    q, p = softmax(T, axis=1), softmax(S, axis=1)
    rows = np.mean([pearsonr(q[i], p[i]).statistic for i in range(6)])
    columns = np.mean([pearsonr(q[:, k], p[:, k]).statistic for k in range(4)])
    assert dist(torch.tensor(q), s, 1.0).mean().item() == pytest.approx((1 - rows) + (1 - columns))


def test_mse_logits() -> None:
    d = T - S
    expected = ((d - d.mean(1, keepdims=True)) ** 2).mean()
    assert mse_logits(t, s).mean().item() == pytest.approx(expected)
    assert mse_logits(t, t + 5).mean().item() == pytest.approx(0, abs=1e-12)


def test_pkt() -> None:
    def neighbours(h: np.ndarray) -> np.ndarray:
        unit = h / np.linalg.norm(h, axis=1, keepdims=True)
        k = (unit @ unit.T + 1) / 2
        np.fill_diagonal(k, 0)
        return k / k.sum(1, keepdims=True)

    p, q = neighbours(WIDE), neighbours(S)
    off = ~np.eye(6, dtype=bool)
    expected = (p[off] * np.log(p[off] / q[off])).sum() / 6 * 6
    assert pkt(s, wide).mean().item() == pytest.approx(expected)


def test_contrastive() -> None:
    unit_s, unit_t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (S, T))
    expected = -np.diag(log_softmax(unit_s @ unit_t.T / 0.1, axis=1)).mean() / np.log(6)
    assert contrastive(s, t, 0.1).mean().item() == pytest.approx(expected)
    same = torch.ones(6, 4, dtype=torch.float64)
    assert contrastive(same, same, 0.1).mean().item() == pytest.approx(1)  # chance


def test_nearness_by_hand() -> None:
    middle = centres(np.array([[0.0, 2], [0, 4], [2, 0]]), np.array([0, 0, 1]))
    np.testing.assert_allclose(middle, [[0, 3], [2, 0]])
    example = np.array([[0.0, 2.0]])
    np.testing.assert_allclose(closeness(example, middle), [[-1.0, -8.0]])
    np.testing.assert_allclose(cosines(example, middle), [[1.0, 0.0]])


def test_center_kl_by_hand() -> None:
    """Two unlabelled examples on the centres of labels at -1 and 1, whose spread is 1."""
    features = np.array([[-1.0], [-1], [1], [1], [-1], [1]])
    gold = np.array([0, 0, 1, 1, -1, -1])
    near, far = softmax([0.0, -4.0])  # squared distances 0 and 2^2
    expected = np.array(
        [[near, far], [near, far], [far, near], [far, near], [near, far], [far, near]]
    )
    np.testing.assert_allclose(targets_of(CenterKl(), features, gold, 2), expected)
    aligned, opposed = softmax([10.0, -10.0])
    by_angle = targets_of(CenterKl(measure="cosine", sharpness=10), features, gold, 2)
    np.testing.assert_allclose(by_angle[4:], [[aligned, opposed], [opposed, aligned]])


def test_a_labelled_example_is_judged_by_a_fit_that_left_it_out() -> None:
    features, gold = np.arange(8.0)[:, None], np.array([0, 0, 0, 1, 1, 1, -1, -1])

    def fit(labelled, labels, weights):  # type: ignore[no-untyped-def]
        seen = set(labelled.ravel())
        return lambda new: np.array([[float(x[0] in seen), 0.0] for x in new])

    examples = np.arange(8)
    judges = cross_fitted(fit, features[:6], gold[:6], examples[:6], Labels(gold))
    np.testing.assert_array_equal(judges(features, examples)[:, 0], [0] * 8)


def test_all_positions_of_an_example_leave_it_out() -> None:
    """Three sentences of two words: a word is judged by a fit without either of its sentence."""
    features, labels = np.arange(6.0)[:, None], Labels(np.array([0, 1] * 3), np.arange(0, 7, 2))
    seen: list[set[float]] = []

    def fit(labelled, labels, weights):  # type: ignore[no-untyped-def]
        seen.append(set(labelled.ravel()))
        return lambda new, known=seen[-1]: np.array([[float(x[0] in known)] for x in new])

    examples, _, gold = labels.known()
    judges = cross_fitted(fit, features, gold, examples, labels)
    assert judges.fold.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(judges(features, examples), np.zeros((6, 1)))
    assert seen == [set(range(6)), {2, 3, 4, 5}, {0, 1, 4, 5}, {0, 1, 2, 3}]


def test_a_label_without_an_example_gets_no_mass() -> None:
    """Whole sentences are drawn: some labels may be in none of them."""
    features = GENERATOR.normal(size=(30, 5))
    for n_present in (2, 3):
        gold = np.where(np.arange(30) < 18, [0, 3, 1][:n_present] * (30 // n_present), -1)
        for loss in (ProbeKl(), CenterKl()):
            found = targets_of(loss, features, gold, 4)
            np.testing.assert_array_equal(found[:, 2], np.zeros(30))
            np.testing.assert_allclose(found.sum(axis=1), 1)


def test_the_probe_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = GENERATOR.normal(size=(30, 5)).astype(np.float32)
    gold = np.where(np.arange(30) < 12, np.arange(30) % 3, -1)
    got = targets_of(ProbeKl(strength=0.1), features, gold, 3)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    probe = LogisticRegression(C=0.1, max_iter=1000).fit(scaled[:12], gold[:12])
    np.testing.assert_allclose(got[12:], probe.predict_proba(scaled[12:]), atol=1e-6)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_probe_is_a_linear_head_on_the_features(n_labels: int) -> None:
    """What its weight and bias say of unlabelled features is what the fit on all labels says."""
    features = 3 + GENERATOR.normal(size=(30, 5)) * np.array([1, 2, 3, 4, 5])
    gold = np.where(np.arange(30) < 12, np.arange(30) % n_labels, -1)
    probe = linear_probe([features[:20], features[20:]], n_labels)(features[:12], gold[:12], None)
    weight, bias = probe.as_head()
    by_hand = softmax(features @ weight.T + bias, axis=1)
    np.testing.assert_allclose(by_hand[12:], probe(features[12:]), atol=1e-10)


# What every loss must withstand.

K = 4
SIZES = Sizes(student_width=5, teacher_width=7, n_source_labels=K, n_target_labels=K)
NAMES = [name for name in available(Loss) if name != "mix"]  # tested in test_training.py


def a_loss(name: str) -> Loss:
    return find(Loss, name, "loss.name")(name=name)


def batch(n: int, dtype: torch.dtype = torch.float64) -> tuple[StudentOutputs, TeacherOutputs]:
    """Labels are known of every second example. Half precision is what models compute in; the
    loop hands their outputs on as float32."""
    given = torch.promote_types(dtype, torch.float32)
    generator = np.random.default_rng(3)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.tensor(generator.normal(size=shape)).to(dtype).to(given)

    teacher_logits = tensor(n, K)
    mapped = teacher_logits.softmax(-1)
    labels = torch.tensor([row % K if row % 2 == 0 else -1 for row in range(n)])
    return (
        StudentOutputs(tensor(n, K), tensor(n, 5), labels),
        TeacherOutputs(
            teacher_logits, tensor(n, 7), tensor(K, 7), tensor(K), mapped,
            torch.ones(n, dtype=given), torch.eye(K, dtype=given),
            torch.arange(K)[:, None].repeat(1, 2), mapped,
        ),
    )  # fmt: skip


def value(loss: Loss, student: StudentOutputs, teacher: TeacherOutputs) -> torch.Tensor:
    torch.manual_seed(0)
    projector = loss.projector(SIZES)
    if projector is not None:
        projector = projector.to(student.features.dtype)
    values = loss(student, teacher, projector)
    assert values.shape == (() if loss.min_batch > 1 else student.labels.shape)
    return values.mean()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right(name: str) -> None:
    """Against central differences, in float64."""
    student, teacher = batch(8)
    loss = a_loss(name)

    def of(logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return value(loss, replace(student, logits=logits, features=features), teacher)

    inputs = (student.logits.clone(), student.features.clone())
    for tensor in inputs:
        tensor.requires_grad_(True)
    assert torch.autograd.gradcheck(of, inputs, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_degenerate_batches_stay_finite(name: str, dtype: torch.dtype) -> None:
    """Identical rows, zero features, certain teachers, no label at all; in half precision too."""
    student, teacher = batch(8, dtype)
    zeros, ones, certain = torch.zeros, torch.ones, torch.eye(K).repeat(2, 1)
    cases = [
        (student, teacher),
        (replace(student, features=zeros(8, 5)), teacher),
        (student, replace(teacher, features=zeros(8, 7))),
        (replace(student, features=ones(8, 5)), replace(teacher, features=ones(8, 7))),
        (student, replace(teacher, logits=50 * certain, mapped=certain, targets=certain)),
        (replace(student, labels=torch.full((8,), -1)), teacher),
        (replace(student, logits=60 * student.logits.sign()), teacher),
    ]  # fmt: skip
    for heard, said in cases:
        logits = heard.logits.clone().requires_grad_(True)
        features = heard.features.clone().requires_grad_(True)
        got = value(a_loss(name), replace(heard, logits=logits, features=features), said)
        assert torch.isfinite(got), name
        if got.requires_grad:
            got.backward()
        for tensor in (logits, features):
            assert tensor.grad is None or torch.isfinite(tensor.grad).all(), name


@pytest.mark.parametrize("name", NAMES)
def test_one_example_is_enough_or_the_loss_says_how_many(name: str) -> None:
    loss = a_loss(name)
    student, teacher = batch(1, torch.float32)
    assert loss.min_batch > 1 or torch.isfinite(value(loss, student, teacher))


@pytest.mark.parametrize("name", NAMES)
def test_lambda_one_is_of_the_order_of_cross_entropy(name: str) -> None:
    """The gradient on the student's features, through head and projector, at the start."""
    student, teacher = batch(32, torch.float32)
    torch.manual_seed(0)
    head = torch.nn.Linear(5, K)
    features = student.features.clone().requires_grad_(True)
    logits = head(features)
    labels = torch.arange(32) % K
    ce = torch.nn.functional.cross_entropy(logits, labels)
    kd = value(a_loss(name), StudentOutputs(logits, features, labels), teacher)
    norms = [
        torch.autograd.grad(term, features, retain_graph=True)[0].norm().item() for term in (ce, kd)
    ]
    assert 0.02 < norms[1] / norms[0] < 50, norms


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_of_stored_features_moves_no_loss_by_a_thousandth(
    name: str, tmp_path: Path
) -> None:
    """Features whose spread is a tenth of what they have in common, as fine-tuned encoders' are."""
    student, teacher = batch(32, torch.float32)
    features = (5 + 0.5 * teacher.features.numpy()).astype(np.float32)
    rows = np.arange(32)
    said = [(rows, teacher.logits.numpy(), features)]
    knowledge.write(tmp_path, Ids.counted("x", 32), said)
    stored = knowledge.read(tmp_path).features[:]
    assert 0 < np.abs(stored - features).max() < 1e-3
    gold = np.where(rows < 20, rows % K, -1)
    values = []
    for each in (features, stored):
        targets = targets_of(a_loss(name), each, gold, K)
        heard = teacher.targets if targets is None else torch.tensor(targets).float()
        told = replace(teacher, features=torch.tensor(each), targets=heard)
        values.append(value(a_loss(name), student, told).mean().item())
    assert values[1] == pytest.approx(values[0], abs=1e-3)


def test_of_several_probes_the_one_serves_that_judges_best_what_it_left_out() -> None:
    """As scikit-learn's cross-validation over the same folds has it."""
    generator = np.random.default_rng(3)
    gold = np.arange(60) % 3
    noisy = generator.normal(size=(60, 40)) + 0.4 * np.eye(3, 40)[gold] * 3
    strengths = (10.0, 0.1, 0.001)
    fold = deal(gold)
    scores = []
    scaled = StandardScaler().fit_transform(noisy)
    for strength in strengths:
        left_out = [
            np.log(
                LogisticRegression(C=strength, max_iter=1000)
                .fit(scaled[fold != number], gold[fold != number])
                .predict_proba(scaled[fold == number])[
                    np.arange((fold == number).sum()), gold[fold == number]
                ]
            )
            for number in range(5)
        ]
        scores.append(float(np.concatenate(left_out).mean()))
    best = int(np.argmax(scores))
    fits = linear_probes([noisy], 3, strengths)
    found = best_cross_fitted(fits, noisy, gold, np.arange(60), Labels(gold))
    expected = fits[best](noisy, gold)
    np.testing.assert_allclose(found.judges[0](noisy), expected(noisy))
    assert best != 0, "the first is not taken for being the first"

    alone = best_cross_fitted(fits, noisy[:3], gold[:3], np.arange(3), Labels(gold[:3]))
    np.testing.assert_allclose(alone.judges[0](noisy), fits[0](noisy[:3], gold[:3])(noisy))
