"""Semiseparable matrices: segment sums that neither cancel nor turn into NaN, two ways to write one down, ranks."""

import numpy as np
import pytest

from lecture17.inputs import log_decays
from lecture17.reference.semiseparable import (
    block_singular_values,
    from_generators,
    from_sss,
    matvec,
    rank,
    segsum,
)
from tests.strategies import DECAYS, relative_error


def decays_between(log_a: np.ndarray) -> np.ndarray:
    """exp(segsum) by its definition: the product of decays j+1 … i for i ≥ j."""
    a, N = np.exp(log_a), len(log_a)
    return np.array([[np.prod(a[j + 1 : i + 1]) if i >= j else 0.0 for j in range(N)] for i in range(N)])


@pytest.mark.parametrize("decays", DECAYS)
@pytest.mark.parametrize("N", [0, 1, 2, 19])
def test_segsum_is_the_log_of_the_products_of_decays(N: int, decays: str) -> None:
    log_a = log_decays(np.random.default_rng(N), N, decays)
    np.testing.assert_allclose(np.exp(segsum(log_a)), decays_between(log_a).reshape(N, N), rtol=1e-13, atol=0)


def test_segsum_in_float32_is_right_where_differences_of_a_cumulative_sum_are_not() -> None:
    log_a = np.random.default_rng(0).uniform(-0.01, 0, 4096).astype(np.float32)
    mask = np.tri(4096, dtype=bool)
    want = np.exp(segsum(log_a.astype(np.float64))[mask])
    got = segsum(log_a)[mask]
    assert got.dtype == np.float32
    assert abs(np.exp(got) - want).max() < 1e-6
    assert abs(np.exp(got.astype(np.float64)) - want).max() < 5e-8  # without float32's own exp: sums are rounded once
    cumulative = np.cumsum(log_a)
    assert abs(np.exp((cumulative[:, None] - cumulative)[mask]) - want).max() > 5e-6


def test_segsum_is_exact_between_decays_that_forget_everything() -> None:
    log_a = np.array([-np.inf, -1.0, -2.0, -np.inf, -4.0])
    inf = -np.inf
    want = [[0, inf, inf, inf, inf], [-1, 0, inf, inf, inf], [-3, -2, 0, inf, inf], [inf] * 3 + [0, inf]]
    np.testing.assert_array_equal(segsum(log_a), [*want, [inf] * 3 + [-4, 0]])


@pytest.mark.parametrize("decays", DECAYS)
def test_sss_form_is_its_definition_and_matvec_its_product(decays: str) -> None:
    rng = np.random.default_rng(2)
    log_a, B, C = log_decays(rng, 17, decays), rng.normal(size=(17, 3)), rng.normal(size=(17, 3))
    M = from_sss(log_a, B, C)
    assert relative_error(M, decays_between(log_a) * (C @ B.T)) < 1e-14
    for x in (rng.normal(size=17), rng.normal(size=(17, 2)), rng.normal(size=(17, 2, 4))):
        assert relative_error(matvec(log_a, B, C, x), np.tensordot(M, x, axes=1)) < 1e-13


def test_generators_and_sss_write_the_same_matrix_until_a_decay_is_zero() -> None:
    rng = np.random.default_rng(3)
    log_a, B, C = log_decays(rng, 12, "mild"), rng.normal(size=(12, 2)), rng.normal(size=(12, 2))
    grown = np.exp(np.cumsum(log_a))[:, None]
    assert relative_error(from_generators(C * grown, B / grown), from_sss(log_a, B, C)) < 1e-12
    log_a[5] = -np.inf
    M = from_sss(log_a, B, C)
    assert np.isfinite(M).all()
    assert not M[5:, :5].any()
    assert (np.diagonal(M) != 0).all()


@pytest.mark.parametrize("r", [0, 1, 3])
def test_rank_is_the_number_of_generators(r: int) -> None:
    rng = np.random.default_rng(4)
    u, v = rng.normal(size=(20, r)), rng.normal(size=(20, r))
    assert rank(from_generators(u, v)) == r
    assert rank(from_sss(log_decays(rng, 20, "mixed"), u, v)) == r


def test_rank_counts_blocks_with_the_diagonal_in_them() -> None:
    assert rank(np.eye(6)) == 1
    assert rank(np.tril(np.random.default_rng(5).normal(size=(9, 9)))) == 5  # the largest block is 5 × 5
    assert rank(np.diag([1.0, 1e-3]), tol=1e-2) == 1
    assert rank(np.diag([1e-3, 1e-3]), tol=1e-2) == 0
    assert rank(np.zeros((0, 0))) == 0


def test_block_singular_values_show_what_crosses_the_split() -> None:
    rng = np.random.default_rng(6)
    log_a, B, C = log_decays(rng, 16, "mild"), rng.normal(size=(16, 2)), rng.normal(size=(16, 2))
    M = from_sss(log_a, B, C)
    s = block_singular_values(M, 6)
    assert s.shape == (6,)
    assert (np.diff(s) <= 0).all()
    assert s[1] > 1e-6 > 1e-12 > s[2]
    assert np.isclose((s**2).sum(), (M[6:, :6] ** 2).sum())
    log_a[6] = -np.inf
    assert not block_singular_values(from_sss(log_a, B, C), 6).any()


@pytest.mark.parametrize("split", [0, 5, -1])
def test_a_split_outside_the_matrix_is_refused(split: int) -> None:
    with pytest.raises(ValueError, match=f"^split is {split}: expected 1 ≤ split ≤ N - 1 = 4"):
        block_singular_values(np.eye(5), split)


def test_positive_decays_and_nan_are_refused() -> None:
    B = np.ones((3, 1))
    with pytest.raises(ValueError, match=r"^log_a\[1\] is 0.5"):
        segsum(np.array([0, 0.5, np.nan]))
    with pytest.raises(ValueError, match=r"^log_a\[2\] is nan"):
        from_sss(np.array([0, 0, np.nan]), B, B)
    with pytest.raises(ValueError, match=r"^x\[0\] is inf"):
        matvec(np.zeros(3), B, B, np.full(3, np.inf))
