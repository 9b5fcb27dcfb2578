"""Answers to the exercises of 03d."""

import numpy as np

from . import right, wrong

PARITY = "03d_expressivity-parity-by-hand"
COUNTER = "03d_expressivity-mod-counter"
PERMUTATION = "03d_expressivity-permutation-householder"


@right(PARITY)
def by_cumulative_product(bits):
    h = np.cumprod(np.where(bits == 1, -1.0, 1.0))
    return h, (h < 0).astype(int)


@right(PARITY)
def state_from_the_parity(bits):
    parity = np.logical_xor.accumulate(bits.astype(bool)).astype(np.int8)
    return 1.0 - 2 * parity, parity


@wrong(PARITY, "a one makes the state smaller")
def decay_between_zero_and_one(bits):
    h = np.cumprod(np.where(bits == 1, 0.5, 1.0))
    return h, np.cumsum(bits) % 2


@wrong(PARITY, "zeros flip the sign and ones do not")
def zeros_and_ones_swapped(bits):
    h = np.cumprod(np.where(bits == 1, 1.0, -1.0))
    return h, (h < 0).astype(int)


@wrong(PARITY, "1 stands for even")
def parity_of_even(bits):
    h = np.cumprod(np.where(bits == 1, -1.0, 1.0))
    return h, (h > 0).astype(int)


@wrong(PARITY, "the state is the count of ones")
def state_is_the_count(bits):
    h = np.cumsum(bits).astype(float)
    return h, np.cumsum(bits) % 2


@wrong(PARITY, "the state is 0 or 1")
def parity_as_state(bits):
    p = np.cumsum(bits) % 2
    return p.astype(float), p


@wrong(PARITY, "the state is read before the token has acted")
def states_before_the_token(bits):
    h = np.concatenate([[1.0], np.cumprod(np.where(bits == 1, -1.0, 1.0))[:-1]])
    return h, (h < 0).astype(int)


@wrong(PARITY, "1 - h is not halved")
def parity_by_subtraction(bits):
    h = np.cumprod(np.where(bits == 1, -1.0, 1.0))
    return h, (1 - h).astype(int)


@wrong(PARITY, "a one multiplies by 0")
def a_decay_of_zero(bits):
    h = np.cumprod(np.where(bits == 1, 0.0, 1.0))
    return h, (h == 0).astype(int)


@wrong(PARITY, "the sign is returned as the parity")
def sign_kept_as_parity(bits):
    h = np.cumprod(np.where(bits == 1, -1.0, 1.0))
    return h, h.astype(int)


@right(COUNTER)
def complex_numbers(increments, k):
    z = np.cumprod(np.exp(2j * np.pi * np.asarray(increments) / k))
    count = np.round(np.angle(z) / (2 * np.pi) * k).astype(int) % k
    return np.stack([z.real, z.imag], axis=1), count


@wrong(COUNTER, "the count is cut off instead of rounded")
def floored(increments, k):
    angle = 2 * np.pi * np.cumsum(increments) / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    count = np.floor(np.arctan2(h[:, 1], h[:, 0]) % (2 * np.pi) * k / (2 * np.pi)).astype(int)
    return h, count


@wrong(COUNTER, "the count is cut off instead of rounded")
def cast_to_integers(increments, k):
    angle = 2 * np.pi * np.cumsum(increments) / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    count = (np.arctan2(h[:, 1], h[:, 0]) * k / (2 * np.pi)).astype(int) % k
    return h, count


@wrong(COUNTER, "negative angles are not taken modulo k")
def negative_counts(increments, k):
    angle = 2 * np.pi * np.cumsum(increments) / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    count = np.rint(np.arctan2(h[:, 1], h[:, 0]) * k / (2 * np.pi)).astype(int)
    return h, count


@wrong(COUNTER, "the state turns the other way")
def clockwise(increments, k):
    angle = -2 * np.pi * np.cumsum(increments) / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    count = np.rint(np.arctan2(h[:, 1], h[:, 0]) * k / (2 * np.pi)).astype(int) % k
    return h, count


@wrong(COUNTER, "x and y have changed places in arctan2")
def coordinates_swapped_in_arctan(increments, k):
    angle = 2 * np.pi * np.cumsum(increments) / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    count = np.rint(np.arctan2(h[:, 0], h[:, 1]) * k / (2 * np.pi)).astype(int) % k
    return h, count


@wrong(COUNTER, "the angle is in degrees")
def degrees(increments, k):
    angle = 360 * np.cumsum(increments) / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    return h, np.cumsum(increments) % k


@wrong(COUNTER, "a full turn is taken to be π")
def half_a_turn(increments, k):
    angle = np.pi * np.cumsum(increments) / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    count = np.rint(np.arctan2(h[:, 1], h[:, 0]) * k / np.pi).astype(int) % k
    return h, count


@wrong(COUNTER, "every token turns the first state")
def not_accumulated(increments, k):
    angle = 2 * np.pi * increments / k
    h = np.stack([np.cos(angle), np.sin(angle)], 1)
    return h, np.rint(np.arctan2(h[:, 1], h[:, 0]) * k / (2 * np.pi)).astype(int) % k


@wrong(COUNTER, "the state is (sin, cos)")
def sine_first(increments, k):
    angle = 2 * np.pi * np.cumsum(increments) / k
    return np.stack([np.sin(angle), np.cos(angle)], 1), np.cumsum(increments) % k


@wrong(COUNTER, "the state is read before the token has turned it")
def states_before(increments, k):
    total = np.concatenate([[0], np.cumsum(increments)[:-1]])
    angle = 2 * np.pi * total / k
    return np.stack([np.cos(angle), np.sin(angle)], 1), total % k


@right(PERMUTATION)
def swaps_found_by_search(p):
    swaps = [(i, j) for i in range(3) for j in range(i, 3)]
    goal = np.eye(3)[:, p]
    for first in swaps:
        for second in swaps:
            K, beta, T = [], [], np.eye(3)
            for i, j in (first, second):
                k = np.eye(3)[i] - np.eye(3)[j] if i != j else np.eye(3)[0]
                K.append(k / np.linalg.norm(k))
                beta.append(2.0 if i != j else 0.0)
                T = (np.eye(3) - beta[-1] * np.outer(K[-1], K[-1])) @ T
            if np.allclose(T, goal):
                return K, beta, T
    raise AssertionError


def _product(K, beta):
    H = [np.eye(3) - b * np.outer(k, k) for k, b in zip(K, beta, strict=True)]
    return H[1] @ H[0]


@wrong(PERMUTATION, "the permutation is undone instead of done")
def inverse_permutation(p):
    return swaps_found_by_search(np.argsort(p))


@wrong(PERMUTATION, "the permutation is undone instead of done")
def product_in_the_wrong_order(p):
    K, beta, _T = swaps_found_by_search(p)
    K, beta = np.array(K), np.array(beta)
    H = [np.eye(3) - b * np.outer(k, k) for k, b in zip(K, beta, strict=True)]
    return K, beta, H[0] @ H[1]


@wrong(PERMUTATION, "a reflection has β = 2")
def beta_of_one(p):
    K, beta, _T = swaps_found_by_search(p)
    beta = np.minimum(beta, 1.0)
    return K, beta, _product(K, beta)


@wrong(PERMUTATION, "expected a key of length 1")
def keys_not_of_length_one(p):
    K, beta, T = swaps_found_by_search(p)
    K = [k * np.sqrt(2) if b else k for k, b in zip(K, beta, strict=True)]
    return K, np.array(beta) / 2, T


@wrong(PERMUTATION, "expected a key of length 1")
def keys_of_zeros_where_nothing_is_done(p):
    K, beta, T = swaps_found_by_search(p)
    K = [k if b else np.zeros(3) for k, b in zip(K, beta, strict=True)]
    return np.array(K), np.array(beta), T


@wrong(PERMUTATION, "take the difference, e_i - e_j")
def plus_instead_of_minus(p):
    K, beta, _T = swaps_found_by_search(p)
    K = np.abs(np.array(K))
    return K, np.array(beta), _product(K, beta)


@wrong(PERMUTATION, "T is right, but the two steps of K and beta, K[0] first, do not make it")
def goal_returned_for_the_product(p):
    K, beta, T = swaps_found_by_search(p)
    return K[::-1], beta[::-1], T


@wrong(PERMUTATION, "")
def identity_by_default(p):
    return np.eye(3)[:2], np.zeros(2), np.eye(3)
