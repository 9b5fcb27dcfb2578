"""Mixers of the experiments: equal to their recurrences and to the reference, with gradients, and causal."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lecture17.experiments.networks import KDA, DeltaRule, Rotation, ScalarDecay, delta_rule, rotation, scalar_decay
from lecture17.reference import delta_rule as reference_delta
from lecture17.reference import kda as reference_kda
from lecture17.reference import mamba3 as reference_mamba3
from lecture17.reference import ssd as reference_ssd

BATCH, HEADS, TIME, D_STATE, D_V = 2, 3, 13, 4, 5


def normal(*shape: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(BATCH, HEADS, *shape)))


def inputs(steps: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    return normal(TIME, D_STATE, seed=0), normal(steps * TIME, D_STATE, seed=1), normal(steps * TIME, D_V, seed=2)


def keys(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = inputs(steps)
    return q, k / k.norm(dim=-1, keepdim=True), v


def each_head(y: Tensor) -> list[tuple[tuple[int, int], np.ndarray]]:
    return [((b, h), y[b, h].numpy()) for b in range(BATCH) for h in range(HEADS)]


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_scalar_decay_is_its_recurrence(low: float) -> None:
    q, k, v = inputs()
    a = low + (1 - low) * torch.sigmoid(normal(TIME, seed=3))
    a[..., 5] = 0.0
    S, y = torch.zeros(BATCH, HEADS, D_STATE, D_V, dtype=torch.float64), []
    for t in range(TIME):
        S = a[..., t, None, None] * S + k[..., t, :, None] * v[..., t, None, :]
        y.append((q[..., t, None, :] @ S)[..., 0, :])
    torch.testing.assert_close(scalar_decay(q, k, v, a), torch.stack(y, -2))


def test_a_positive_scalar_decay_is_ssd() -> None:
    q, k, v = inputs()
    a = torch.sigmoid(normal(TIME, seed=3))
    for at, y in each_head(scalar_decay(q, k, v, a)):
        expected, _ = reference_ssd.recurrent(*(z[at].numpy() for z in (v, a.log(), k, q)))
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


def test_a_gradient_passes_a_decay_of_zero() -> None:
    q, k, v = (z[:1, :1, :5] for z in inputs())
    a = torch.sigmoid(normal(5, seed=3))[:1, :1]
    a[..., 2] = 0.0
    a.requires_grad_()
    assert torch.autograd.gradcheck(lambda a: scalar_decay(q, k, v, a), (a,))


def test_rotation_turns_the_pairs_of_the_state() -> None:
    q, k, v = inputs()
    theta = normal(TIME, D_STATE // 2, seed=4)
    S, y = torch.zeros(BATCH, HEADS, D_STATE, D_V, dtype=torch.float64), []
    for t in range(TIME):
        turned = torch.empty_like(S)
        for pair in range(D_STATE // 2):
            c, s = theta[..., t, pair].cos()[..., None], theta[..., t, pair].sin()[..., None]
            turned[..., 2 * pair, :] = c * S[..., 2 * pair, :] + s * S[..., 2 * pair + 1, :]
            turned[..., 2 * pair + 1, :] = c * S[..., 2 * pair + 1, :] - s * S[..., 2 * pair, :]
        S = turned + k[..., t, :, None] * v[..., t, None, :]
        y.append((q[..., t, None, :] @ S)[..., 0, :])
    torch.testing.assert_close(rotation(q, k, v, theta), torch.stack(y, -2))


def test_rotation_is_mamba3_without_decay() -> None:
    q, k, v = inputs()
    theta = normal(TIME, D_STATE // 2, seed=4)
    ones = np.ones(TIME)
    for at, y in each_head(rotation(q, k, v, theta)):
        angles, B, C = (z[at].numpy() for z in (theta, k, q))
        expected, _ = reference_mamba3.recurrent(v[at].numpy(), ones, ones, 0 * ones, angles, B, C)
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_delta_rule_reads_after_the_last_step_of_a_token(steps: int) -> None:
    q, k, v = keys(steps)
    beta = 2 * torch.sigmoid(normal(steps * TIME, seed=5))
    for at, y in each_head(delta_rule(q, k, v, beta)):
        asked = np.repeat(q[at].numpy(), steps, axis=0)
        expected, _ = reference_delta.recurrent(asked, *(z[at].numpy() for z in (k, v, beta)))
        np.testing.assert_allclose(y, expected[steps - 1 :: steps], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("beta_max", [1.0, 2.0])
def test_kda_decays_every_key_by_its_own_gate_and_takes_one_step_of_up_to_beta_max(beta_max: float) -> None:
    (q, k, v), gate = inputs(), 2 * normal(TIME, 1 + D_STATE, seed=6)
    mixer = KDA(8, n_heads=HEADS, d_state=D_STATE, beta_max=beta_max)
    rates, unit = torch.sigmoid(gate), keys(1)[1]
    for at, y in each_head(mixer.mix(q, k, v, gate)):
        log_alpha, beta = rates[at][:, 1:].log().numpy(), beta_max * rates[at][:, 0].numpy()
        Q, K, V = (z[at].numpy() for z in (q, unit, v))
        expected, _ = reference_kda.recurrent(Q, K, V, log_alpha, beta)
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


def test_steps_that_cannot_be_shared_out_are_named() -> None:
    q, k, v = keys(1)
    with pytest.raises(ValueError, match="12 steps for the 13 tokens"):
        delta_rule(q, k[..., 1:, :], v[..., 1:, :], normal(TIME - 1, seed=5))


SMALL: dict[str, Callable[[], nn.Module]] = {
    "scalar in (0, 1)": lambda: ScalarDecay(8, n_heads=2, d_state=4, negative=False, bias=3.0),
    "scalar in (-1, 1)": lambda: ScalarDecay(8, n_heads=2, d_state=4, negative=True),
    "rotation": lambda: Rotation(8, n_heads=2, d_state=4),
    "one step": lambda: DeltaRule(8, n_heads=2, d_state=4, beta_max=1),
    "two steps": lambda: DeltaRule(8, n_heads=2, d_state=4, beta_max=2, steps=2),
    "KDA": lambda: KDA(8, n_heads=2, d_state=4, beta_max=2),
}
each_mixer = pytest.mark.parametrize("name", SMALL)


@each_mixer
def test_a_token_changes_nothing_before_it_and_something_after(name: str) -> None:
    torch.manual_seed(0)
    mixer, x = SMALL[name](), torch.randn(1, 9, 8)
    changed = x.clone()
    changed[0, 4] += 1
    difference = (mixer(changed) - mixer(x)).abs().amax(-1)[0]
    assert (difference[:4] == 0).all()
    assert (difference[4:] > 1e-6).all()


@each_mixer
def test_every_parameter_has_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    mixer = SMALL[name]()
    mixer(torch.randn(2, 9, 8)).square().sum().backward()
    for label, parameter in mixer.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.abs().max() > 0, label


def test_gates_keep_to_the_range_they_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches the recurrences, for inputs large enough to saturate."""
    from lecture17.experiments import networks

    seen: dict[str, Tensor] = {}
    for function in ("scalar_decay", "rotation", "delta_rule"):

        def record(q: Tensor, k: Tensor, v: Tensor, gate: Tensor, name: str = function) -> Tensor:
            seen[name], seen["k"] = gate, k
            return q.new_zeros(*q.shape[:3], v.shape[-1])

        monkeypatch.setattr(networks, function, record)
    x = 3 * torch.randn(4, 50, 8, generator=torch.Generator().manual_seed(0))
    expected = {
        "scalar in (0, 1)": ("scalar_decay", 0, 1),
        "scalar in (-1, 1)": ("scalar_decay", -1, 1),
        "rotation": ("rotation", -np.pi, np.pi),
        "one step": ("delta_rule", 0, 1),
        "two steps": ("delta_rule", 0, 2),
    }
    for name, (function, low, high) in expected.items():
        torch.manual_seed(0)
        SMALL[name]()(x)
        gate = seen[function]
        margin = 0.2 * (high - low)
        assert low <= gate.min() < low + margin, name
        assert high - margin < gate.max() <= high, name
        if function == "delta_rule":
            torch.testing.assert_close(seen["k"].norm(dim=-1), torch.ones(seen["k"].shape[:-1]))
