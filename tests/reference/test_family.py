"""How the mixers contain one another, and what each is there for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lecture17.reference import (
    delta_product,
    delta_rule,
    gla,
    kda,
    linear_attention,
    mamba3,
    retention,
    rwkv7,
    selective_scan,
    ssd,
    wkv4,
)
from tests.strategies import VARIANTS, relative_error, unit_rows

N, D_K, D_V = 29, 4, 3


def drawn(name: str, N: int = N, decays: str = "mild") -> list[np.ndarray]:
    return list(VARIANTS[name].draw(np.random.default_rng(7), N, D_K, D_V, decays).values())


def test_ssd_without_decay_is_linear_attention_and_with_a_constant_one_retention() -> None:
    Q, K, V = drawn("linear_attention")
    assert relative_error(ssd.parallel(V, np.zeros(N), K, Q), linear_attention.parallel(Q, K, V)) < 1e-14
    constant = np.full(N, np.log(0.9))
    assert relative_error(ssd.parallel(V, constant, K, Q), retention.parallel(Q, K, V, 0.9)) < 1e-13


def test_gla_with_equal_gates_is_ssd() -> None:
    x, log_a, B, C = drawn("ssd", decays="mixed")
    gates = np.repeat(log_a[:, None], D_K, axis=1)
    assert relative_error(gla.parallel(C, B, x, gates), ssd.parallel(x, log_a, B, C)) < 1e-13


def test_rwkv7_without_decay_and_with_tied_keys_is_the_delta_rule() -> None:
    Q, K, V, beta = drawn("delta_rule")
    rates = np.repeat(beta[:, None], D_K, axis=1)
    tied = rwkv7.parallel(Q, np.zeros((N, D_K)), beta[:, None] * K, V, K, rates)
    assert relative_error(tied, delta_rule.parallel(Q, K, V, beta)) < 1e-12


def test_rwkv7_without_removal_is_gla() -> None:
    r, log_w, k, v, kappa, a = drawn("rwkv7", decays="mixed")
    assert relative_error(rwkv7.parallel(r, log_w, k, v, 0 * kappa, a), gla.parallel(r, k, v, log_w)) < 1e-14


def test_the_gated_delta_rule_without_decay_is_the_plain_one() -> None:
    Q, K, V, beta = drawn("delta_rule")
    assert relative_error(delta_rule.chunkwise(Q, K, V, beta, np.zeros(N)), delta_rule.chunkwise(Q, K, V, beta)) == 0


def test_kda_with_equal_decays_is_the_gated_delta_rule_and_without_writes_decays_alone() -> None:
    Q, K, V, beta, log_a = drawn("delta_rule_gated", decays="mixed")
    state, equal = np.random.default_rng(0).normal(size=(D_K, D_V)), np.repeat(log_a[:, None], D_K, axis=1)
    assert relative_error(kda.parallel(Q, K, V, equal, beta), delta_rule.parallel(Q, K, V, beta, log_a)) < 1e-13
    log_alpha = drawn("gla", decays="mixed")[3]
    decayed = np.cumsum(log_alpha, axis=0)
    want = (Q * np.exp(decayed)) @ state, np.exp(decayed[-1])[:, None] * state
    assert relative_error(kda.parallel(Q, K, V, log_alpha, 0 * beta, state), want) < 1e-13
    assert relative_error(kda.recurrent(Q, K, V, log_alpha, 0 * beta, state), want) < 1e-13


def test_kda_forgets_under_one_key_and_keeps_another_which_one_decay_for_all_cannot() -> None:
    keys, V = np.eye(2)[[0, 1, 0]], np.array([[1.0], [2.0], [0.0]])
    log_alpha = np.array([[0, 0], [0, 0], [-np.inf, 0]])
    _, S = kda.chunkwise(keys, keys, V, log_alpha, np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(S, [[0], [2]])


def test_delta_product_of_one_step_or_of_one_that_writes_is_the_delta_rule() -> None:
    Q, K, V, beta, log_a = drawn("delta_rule_gated", decays="mixed")
    want = delta_rule.parallel(Q, K, V, beta, log_a)
    one_step = delta_product.parallel(Q, K[:, None], V[:, None], beta[:, None], log_a)
    assert relative_error(one_step, want) < 1e-13
    idle = np.stack([beta, 0 * beta], axis=1)
    two_steps = delta_product.parallel(Q, np.stack([K, Q], 1), np.stack([V, V], 1), idle, log_a)
    assert relative_error(two_steps, want) < 1e-13


def test_two_reflections_permute_three_things_in_a_cycle_and_their_order_matters() -> None:
    swaps = np.array([[1.0, -1, 0], [0, 1, -1]]) / np.sqrt(2)  # of things 0 and 1, and of 1 and 2
    nothing, twice = np.zeros((1, 2, 3)), np.full((1, 2), 2.0)
    things = np.diag([1.0, 2, 3])
    for order, cycle in ((swaps, [1, 2, 0]), (swaps[::-1], [2, 0, 1])):
        _, S = delta_product.recurrent(np.zeros((1, 3)), order[None], nothing, twice, state=things)
        np.testing.assert_allclose(S, things[cycle], atol=1e-15)


def test_a_product_without_steps_is_refused() -> None:
    Q, K, V, beta = np.zeros((5, 3)), np.zeros((5, 0, 3)), np.zeros((5, 0, 2)), np.zeros((5, 0))
    for form in (delta_product.matrix, delta_product.parallel, delta_product.recurrent, delta_product.chunkwise):
        with pytest.raises(ValueError, match=r"^n_h is 0: expected at least 1"):
            form(Q, K, V, beta)


def test_mamba3_by_eulers_rule_and_without_rotation_is_ssd_on_delta_x() -> None:
    x, delta, _, log_a, theta, B, C = drawn("mamba3")
    y, state = mamba3.parallel(x, delta, np.ones(N), log_a, 0 * theta, B, C)
    assert relative_error((y, state[0]), ssd.parallel(delta[:, None] * x, log_a, B, C)) < 1e-13


def test_selective_scan_with_one_rate_for_all_is_ssd() -> None:
    x, delta, _, B, C = drawn("selective_scan")
    delta, A = np.repeat(delta[:, :1], D_V, axis=1), np.full((D_V, D_K), -0.7)
    y = selective_scan.parallel(x, delta, A, B, C)
    assert relative_error(y, ssd.parallel(delta * x, -0.7 * delta[:, 0], B, C)) < 1e-13


@pytest.mark.parametrize("gate", [1e-30, 0.0])
def test_gates_that_underflow_leave_all_with_a_decay_per_key_finite_and_right_over_long_chunks(gate: float) -> None:
    with np.errstate(divide="ignore"):
        log_gate = np.log(gate)
    Q, K, V = drawn("linear_attention", N=400)
    log_alpha = np.zeros((400, D_K))
    log_alpha[::3, 0] = log_gate
    log_alpha[:, 1] = log_gate
    want = gla.recurrent(Q, K, V, log_alpha)
    assert np.isfinite(want[0]).all()
    assert relative_error(gla.chunkwise(Q, K, V, log_alpha, chunk_size=256), want) < 1e-12
    kappa, a = unit_rows(np.random.default_rng(0), 400, D_K), np.full((400, D_K), 0.5)
    want = rwkv7.recurrent(Q, log_alpha, K, V, kappa, a)
    assert relative_error(rwkv7.chunkwise(Q, log_alpha, K, V, kappa, a, chunk_size=256), want) < 1e-12
    want = kda.recurrent(Q, kappa, V, log_alpha, a[:, 0])
    assert relative_error(kda.chunkwise(Q, kappa, V, log_alpha, a[:, 0], chunk_size=256), want) < 1e-12


def test_delta_rule_recalls_the_last_value_written_under_a_key() -> None:
    keys, V = np.eye(3)[[0, 1, 0, 2, 1]], np.random.default_rng(0).normal(size=(5, 2))
    _, S = delta_rule.parallel(keys, keys, V, np.ones(5))
    np.testing.assert_allclose(S, V[[2, 4, 3]], atol=1e-15)


def test_a_full_removal_takes_one_direction_from_the_state_and_one_from_every_rank_below_the_diagonal() -> None:
    rng = np.random.default_rng(2)
    for r in (2, 3):
        Q, K = rng.normal(size=(24, r)), unit_rows(rng, 24, r)
        M = delta_rule.matrix(Q, K, np.zeros((24, 1)), np.ones(24))
        assert {np.linalg.matrix_rank(M[s:, :s], tol=1e-10) for s in range(r, 24 - r)} == {r - 1}


def test_delta_rule_with_beta_two_reflects_the_state() -> None:
    k = unit_rows(np.random.default_rng(1), 1, 3)
    S = np.random.default_rng(2).normal(size=(3, 2))
    _, reflected = delta_rule.parallel(k, k, np.zeros((1, 2)), np.array([2.0]), state=S)
    np.testing.assert_allclose(reflected, (np.eye(3) - 2 * k.T @ k) @ S, atol=1e-15)


def test_mamba3_counts_parity_with_a_half_turn_per_one() -> None:
    bits = np.array([1, 0, 1, 1, 0, 1, 0, 0, 1, 1])
    x = np.zeros((10, 1))
    x[0] = 1  # one write, turned from then on
    theta = np.pi * bits[:, None] * (np.arange(10) > 0)[:, None]
    ones, east = np.ones(10), np.tile([1.0, 0.0], (10, 1))
    y, _ = mamba3.chunkwise(x, ones, ones, np.zeros(10), theta, east, east, chunk_size=3)
    np.testing.assert_allclose(y[:, 0], (-1.0) ** (np.cumsum(bits) - bits[0]), atol=1e-14)


@pytest.mark.parametrize("form", [wkv4.recurrent, wkv4.parallel])
def test_wkv4_does_not_overflow_and_only_differences_of_k_matter(form: Callable[..., Any]) -> None:
    w, u, k, v = drawn("wkv4", N=300)
    y, _ = form(w, u, k, v)
    for shift in (1e4, -1e4):
        assert relative_error(form(w, u, k + shift, v)[0], y) < 1e-9
    alone, _ = form(w, u, k[:1] + 1e4, v[:1])
    np.testing.assert_allclose(alone, v[:1], rtol=1e-15)
    loudest = k.copy()
    loudest[3] = 1e6
    np.testing.assert_allclose(form(w, u, loudest, v)[0][3:], np.tile(v[3], (297, 1)), rtol=1e-12)


def test_wkv4_carries_its_state_over_a_long_sequence() -> None:
    w, u, k, v = drawn("wkv4", N=5000)
    y, state = wkv4.recurrent(w, u, 20 * k, v)
    assert abs(y).max() <= abs(v).max()  # a weighted mean
    assert all(np.isfinite(part).all() for part in state)


def test_wkv4_rows_are_weights() -> None:
    M = wkv4.matrix(*drawn("wkv4"))
    np.testing.assert_allclose(M.sum(2), 1, rtol=1e-14)
    assert (M >= 0).all()
    assert not np.triu(M, 1).any()
