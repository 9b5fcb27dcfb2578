"""Orders over an image are permutations with the neighbors they promise; merging undoes scanning; the 2-D SSM."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from lecture17.inputs import log_decays
from lecture17.reference import scan2d
from tests.strategies import DECAYS, relative_error

sides = st.integers(1, 12)
sizes = pytest.mark.parametrize(("H", "W"), [(1, 1), (1, 5), (4, 1), (3, 4), (5, 5)])


def test_routes_are_row_major_column_major_and_both_reversed() -> None:
    np.testing.assert_array_equal(
        scan2d.routes(2, 3), [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]
    )


@settings(max_examples=30, deadline=None)
@given(H=sides, W=sides, d=st.integers(1, 3), seed=st.integers(0, 1000))
def test_merging_what_was_scanned_gives_exactly_four_images(H: int, W: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    img = rng.normal(size=(H, W, d)) * 10.0 ** rng.integers(-20, 20, (H, W, d))
    np.testing.assert_array_equal(scan2d.cross_merge(scan2d.cross_scan(img), H, W), 4 * img)


@sizes
def test_each_route_is_put_back_where_it_was_read(H: int, W: int) -> None:
    pixels = np.arange(1.0, H * W + 1).reshape(H, W, 1)
    seqs = scan2d.cross_scan(pixels)
    for r, order in enumerate(scan2d.routes(H, W)):
        np.testing.assert_array_equal(seqs[r].ravel(), order + 1)
        alone = np.zeros_like(seqs)
        alone[r] = seqs[r]
        np.testing.assert_array_equal(scan2d.cross_merge(alone, H, W), pixels)


def test_sequences_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(TypeCheckError, match="parameter 'seqs'"):
        scan2d.cross_merge(np.zeros((4, 11, 2)), 3, 4)


@pytest.mark.parametrize("order", [scan2d.hilbert, scan2d.z_order])
def test_every_pixel_is_visited_once_at_any_size(order: Callable[[int, int], np.ndarray]) -> None:
    for H in range(1, 20):
        for W in range(1, 20):
            np.testing.assert_array_equal(np.sort(order(H, W)), np.arange(H * W))


def test_hilbert_steps_to_a_neighbor_but_for_one_diagonal_step_where_parity_asks_for_it() -> None:
    for H in range(1, 24):
        for W in range(1, 24):
            row, column = np.divmod(scan2d.hilbert(H, W), W)
            steps = abs(np.diff(row)) + abs(np.diff(column))
            assert (np.maximum(abs(np.diff(row)), abs(np.diff(column))) == 1).all(), (H, W)
            diagonal_allowed = max(H, W) % 2 == 1 and min(H, W) % 2 == 0
            assert (steps > 1).sum() <= diagonal_allowed, (H, W)


def test_hilbert_on_a_power_of_two_fills_each_quadrant_before_the_next() -> None:
    for side in (2, 4, 8, 16, 32):
        row, column = np.divmod(scan2d.hilbert(side, side), side)
        for block in (side // 2, *([side // 4] if side > 2 else [])):
            visited = (row // block * side + column // block).reshape(-1, block * block)
            assert (visited == visited[:, :1]).all()
            assert len(np.unique(visited[:, 0])) == (side // block) ** 2


def test_z_order_interleaves_the_bits_of_row_and_column() -> None:
    np.testing.assert_array_equal(scan2d.z_order(4, 4), [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15])
    whole = scan2d.z_order(16, 16)
    row, column = np.divmod(whole, 16)
    inside = (row < 5) & (column < 11)
    np.testing.assert_array_equal(scan2d.z_order(5, 11), (row * 11 + column)[inside])


@pytest.mark.parametrize("decays", DECAYS)
@sizes
def test_ssm2d_is_the_double_loop(H: int, W: int, decays: str) -> None:
    rng = np.random.default_rng(0)
    img, B, C = rng.normal(size=(H, W, 2)), rng.normal(size=(H, W, 3)), rng.normal(size=(H, W, 3))
    log_a_row, log_a_col = log_decays(rng, (H, W), decays), log_decays(rng, (H, W), decays)
    S: dict[tuple[int, int], np.ndarray] = {}
    y = np.empty_like(img)
    nothing = np.zeros((3, 2))
    for i in range(H):
        for j in range(W):
            above, left = S.get((i - 1, j), nothing), S.get((i, j - 1), nothing)
            S[i, j] = np.exp(log_a_row[i, j]) * above + np.exp(log_a_col[i, j]) * left + np.outer(B[i, j], img[i, j])
            y[i, j] = C[i, j] @ S[i, j]
    assert relative_error(scan2d.ssm2d(img, log_a_row, log_a_col, B, C), y) < 1e-13


def test_ssm2d_names_a_positive_decay() -> None:
    ones = np.ones((2, 2, 1))
    with pytest.raises(ValueError, match=r"^log_a_col\[0, 0\] is 1"):
        scan2d.ssm2d(ones, np.zeros((2, 2)), np.ones((2, 2)), ones, ones)
