"""Softmax attention is causal and its rows sum to 1; its blocks have full rank; random features estimate its kernel.

A window, a forget gate and the products of PaTH equal their formulas, term by term.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture17.reference import attention, delta_rule
from lecture17.reference.semiseparable import from_sss, rank
from tests.strategies import relative_error, unit_rows


def drawn(N: int = 13, d_k: int = 4, d_v: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, d_k)), rng.normal(size=(N, d_k)), rng.normal(size=(N, d_v))


def test_each_row_is_a_softmax_over_the_tokens_so_far() -> None:
    Q, K, V = drawn()
    P = attention.softmax_matrix(Q, K)
    np.testing.assert_allclose(P.sum(1), 1, rtol=1e-14)
    assert not np.triu(P, 1).any()
    for i, q in enumerate(Q):
        weights = np.exp(K[: i + 1] @ q)
        np.testing.assert_allclose(P[i, : i + 1], weights / weights.sum(), rtol=1e-13)
    assert relative_error(attention.softmax(Q, K, V), P @ V) == 0


def test_later_tokens_change_nothing_before_them() -> None:
    Q, K, V = drawn()
    y = attention.softmax(Q, K, V)
    for X in (Q, K, V):
        X[7:] += 10
    np.testing.assert_allclose(attention.softmax(Q, K, V)[:7], y[:7], rtol=1e-14)


def test_scores_of_any_size_do_not_overflow() -> None:
    Q, K, V = drawn()
    y = attention.softmax(1e3 * Q, 1e3 * K, V)
    largest = [np.argmax(K[: i + 1] @ q) for i, q in enumerate(Q)]
    np.testing.assert_allclose(y, V[largest], rtol=1e-12)


def test_no_tokens_give_no_output() -> None:
    assert attention.softmax(*drawn(N=0)).shape == (0, 3)
    assert attention.path(*drawn(N=0), np.zeros((0, 4)), np.zeros(0), 3, np.zeros(0)).shape == (0, 3)


def by_loops(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, W: np.ndarray, beta: np.ndarray, window: int, log_a: np.ndarray
) -> np.ndarray:
    """PaTH with a window and a forget gate, a number at a time; beta = 0 leaves plain scores."""
    y = np.zeros_like(V)
    for i in range(len(Q)):
        total = 0.0
        for j in range(max(0, i - window + 1), i + 1):
            q, decay = Q[i], 1.0
            for t in range(i, j, -1):
                q = q @ (np.eye(len(q)) - beta[t] * np.outer(W[t], W[t]))
                decay *= np.exp(log_a[t])
            weight = decay * np.exp(q @ K[j])
            y[i] += weight * V[j]
            total += weight
        y[i] /= total
    return y


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(1, 14), st.integers(0, 9999))
def test_window_forget_gate_and_path_equal_plain_loops(N: int, d_k: int, d_v: int, window: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    Q, K, V = rng.normal(size=(N, d_k)), rng.normal(size=(N, d_k)), rng.normal(size=(N, d_v))
    W, beta = unit_rows(rng, N, d_k), rng.uniform(0, 2, size=N)
    log_a = np.where(rng.random(N) < 0.2, -np.inf, -rng.exponential(size=N))
    nothing, everything, none = np.zeros(N), N, np.zeros(N)
    pairs = (
        (attention.softmax(Q, K, V, window), by_loops(Q, K, V, W, none, window, nothing)),
        (attention.softmax(Q, K, V, log_a=log_a), by_loops(Q, K, V, W, none, everything, log_a)),
        (attention.softmax(Q, K, V, window, log_a), by_loops(Q, K, V, W, none, window, log_a)),
        (attention.path(Q, K, V, W, beta), by_loops(Q, K, V, W, beta, everything, nothing)),
        (attention.path(Q, K, V, W, beta, window, log_a), by_loops(Q, K, V, W, beta, window, log_a)),
    )
    for got, want in pairs:
        assert relative_error(got, want) < 1e-12


def test_the_scores_of_path_are_the_matrix_of_the_delta_rule() -> None:
    Q, _, V = drawn()
    rng = np.random.default_rng(3)
    K, beta = unit_rows(rng, len(Q), 4), rng.uniform(0, 2, size=len(Q))
    M = delta_rule.matrix(Q, K, V, beta)
    assert relative_error(attention.path_scores(Q, K, K, beta) * beta, M) < 1e-13


def test_a_forget_gate_multiplies_the_exponential_kernel_by_the_decay_mask() -> None:
    Q, K, _ = drawn()
    log_a = -np.random.default_rng(4).exponential(size=len(Q))
    ones = np.ones((len(Q), 1))
    kernel = from_sss(log_a, ones, ones) * np.exp(Q @ K.T)
    assert relative_error(attention.softmax_matrix(Q, K, log_a=log_a), kernel / kernel.sum(1, keepdims=True)) < 1e-13


def test_forgetting_everything_or_a_window_of_one_leaves_the_token_itself() -> None:
    Q, K, V = drawn()
    np.testing.assert_array_equal(attention.softmax(Q, K, V, log_a=np.full(len(Q), -np.inf)), V)
    np.testing.assert_array_equal(attention.softmax(Q, K, V, window=1), V)


def test_softmax_is_not_semiseparable_of_any_rank_short_of_the_length() -> None:
    Q, K, _ = drawn(N=24, d_k=2)
    assert rank(np.tril(Q @ K.T)) == 2
    assert rank(attention.softmax_matrix(3 * Q, 3 * K)) > 8


def test_random_features_estimate_the_exponential_kernel_without_bias() -> None:
    rng = np.random.default_rng(1)
    q, k = rng.normal(size=(5, 3)) / 2, rng.normal(size=(5, 3)) / 2
    want = np.exp((q * k).sum(1))
    errors = {}
    for m in (16, 1024):
        estimates = []
        for seed in range(400):
            phi_q, phi_k = (attention.random_features(X, m, np.random.default_rng(seed)) for X in (q, k))
            assert (phi_q > 0).all()
            estimates.append((phi_q * phi_k).sum(1))
        differences = np.array(estimates) - want
        assert (abs(differences.mean(0)) < 4 * differences.std(0) / np.sqrt(400)).all()
        errors[m] = np.sqrt((differences**2).mean(0))
    fall = errors[16] / errors[1024]  # 1/sqrt(m) gives sqrt(1024 / 16) = 8
    assert (fall > 6).all()
    assert (fall < 11).all()


def test_the_same_seed_gives_queries_and_keys_the_same_features() -> None:
    X = drawn()[0]
    same = [attention.random_features(X, 7, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert (same[0] != attention.random_features(X, 7, np.random.default_rng(6))).any()


def test_directions_are_orthogonal_within_each_group_of_d() -> None:
    features = attention.random_features(np.eye(3), 8, np.random.default_rng(2))
    W = (np.log(features * np.sqrt(8)) + 0.5).T  # undo φ at the unit vectors: column r is w_r
    for group in (W[0:3], W[3:6], W[6:8]):
        products = group @ group.T
        np.testing.assert_allclose(products, np.diag(np.diagonal(products)), atol=1e-12)


def test_bad_arguments_are_named() -> None:
    Q, K, V = drawn()
    K[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"^K\[2, 1\] is nan"):
        attention.softmax(Q, K, V)
    with pytest.raises(ValueError, match=r"^window is 0: expected at least 1"):
        attention.softmax(Q, Q, V, window=0)
    with pytest.raises(ValueError, match=r"^log_a\[0\] is 1: expected log decays"):
        attention.path(Q, Q, V, Q, np.ones(len(Q)), log_a=np.ones(len(Q)))
    with pytest.raises(ValueError, match=r"^n_features is 0: expected at least 1"):
        attention.random_features(Q, 0, np.random.default_rng(0))
