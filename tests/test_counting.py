"""Counting operations by doing them."""

from functools import partial

import numpy as np

from lecture17.counting import Tally, count
from lecture17.reference import retention, ssd

rng = np.random.default_rng(0)


def test_a_matrix_product_is_two_flops_for_each_of_its_terms():
    assert count(np.matmul, rng.normal(size=(3, 4)), rng.normal(size=(4, 5))) == Tally(120, 120)
    assert count(np.matmul, rng.normal(size=4), rng.normal(size=(4, 5))) == Tally(40, 40)


def test_arithmetic_counts_each_entry_of_its_result_after_broadcasting():
    column, row = rng.normal(size=(3, 1)), rng.normal(size=4)
    assert count(lambda x, y: x * y, column, row) == Tally(12)
    assert count(lambda x, y: (x - y) / 2.0 + y, column, row) == Tally(36)


def test_exponentials_are_counted_apart():
    assert count(lambda x: 1 + np.exp(x), np.zeros((2, 3))) == Tally(6, 0, 6)


def test_what_is_computed_from_arrays_counts_too_in_place_or_not():
    def add_up(x, y):
        total = np.zeros(5)
        for _ in range(3):
            total = total + x
        total += y
        y *= 2
        return total

    given = np.ones(5)
    assert count(add_up, np.ones(5), given) == Tally(25)
    assert given.tolist() == [2] * 5


def test_what_is_joined_from_counted_and_plain_arrays_counts():
    assert count(lambda x: 2.0 * np.concatenate([np.ones(3), x, x]), np.ones(5)) == Tally(13)
    assert count(lambda x: 2.0 * np.stack([x, x]), np.ones(5)) == Tally(10)


def test_the_function_computes_what_it_computes_without_counting():
    seen = []
    x, log_a, (B, C) = rng.normal(size=(9, 3)), np.log(rng.uniform(0.5, 1, 9)), rng.normal(size=(2, 9, 4))
    chunkwise = partial(ssd.chunkwise, chunk_size=4)
    count(lambda *args: seen.append(chunkwise(*args)), x, log_a, B, C)
    for counted, plain in zip(seen[0], chunkwise(x, log_a, B, C), strict=True):
        np.testing.assert_array_equal(counted, plain)


def test_it_counts_inside_the_reference():
    Q, K, V = rng.normal(size=(3, 16, 8))
    mask_scores_product_state = 16 * 16 + 2 * 16 * 16 * 8 + 2 * 16 * 16 * 8 + 16 * 8 + 2 * 8 * 16 * 8
    assert count(retention.parallel, Q, K, V, 0.9).flops == mask_scores_product_state
