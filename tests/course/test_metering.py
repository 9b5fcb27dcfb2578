"""Metered arrays: they compute like others, and stop an answer that works too much."""

import copy
from collections.abc import Callable

import numpy as np
import pytest

from lecture17.course.metering import Meter, TooMuchWork, metered

N, R = 50, 3


def cost(work: Callable[[np.ndarray, np.ndarray], object]) -> int:
    """What `work` is charged for a matrix (N, R) and a vector (N,) of the same meter."""
    meter = Meter(10**9, "too much")
    work(metered(np.ones((N, R)), meter), metered(np.ones(N), meter))
    return 10**9 - meter.left


def loop(U: np.ndarray, x: np.ndarray) -> np.ndarray:
    S, y = np.zeros(R), np.empty(N)
    for t in range(N):
        S += U[t] * x[t]
        y[t] = U[t] @ S
    return y


@pytest.mark.parametrize(
    "work",
    [
        lambda U, x: U @ U.T,
        lambda U, x: np.dot(U, U.T),
        lambda U, x: np.einsum("nr,mr->nm", U, U),
        lambda U, x: np.outer(x, x),
        lambda U, x: np.tril(np.asarray(U) @ np.asarray(U).T) @ x,
        lambda U, x: [U[i] @ U[j] for i in range(N) for j in range(N)],
    ],
)
def test_work_that_grows_with_the_square_is_charged_for(work: Callable[[np.ndarray, np.ndarray], object]) -> None:
    assert cost(work) >= N * N


@pytest.mark.parametrize(
    "work",
    [
        loop,
        lambda U, x: (U * np.cumsum(U * x[:, None], axis=0)).sum(axis=1),
        lambda U, x: U @ (U.T @ x),
        lambda U, x: (np.asarray(U), U[3], U.T, len(x), float(x[0])),
    ],
)
def test_work_that_grows_with_the_length_is_cheap(work: Callable[[np.ndarray, np.ndarray], object]) -> None:
    assert cost(work) <= 6 * N * R


def test_metered_arrays_compute_what_others_compute() -> None:
    rng = np.random.default_rng(0)
    U, x = rng.normal(size=(N, R)), rng.normal(size=N)
    meter = Meter(10**9, "too much")
    np.testing.assert_array_equal(np.asarray(loop(metered(U, meter), metered(x, meter))), loop(U, x))


def test_more_work_than_the_budget_raises_with_advice() -> None:
    U = metered(np.ones((N, R)), Meter(N * N, "carry a state"))
    with pytest.raises(TooMuchWork, match=r"^carry a state$"):
        U @ U.T


def test_arrays_copied_together_share_a_fresh_meter() -> None:
    meter = Meter(100, "too much")
    inputs = {"a": metered(np.ones(60), meter), "b": metered(np.ones(60), meter)}
    for _ in range(3):  # each copy has the whole budget
        given = copy.deepcopy(inputs)
        given["a"] + 1
        with pytest.raises(TooMuchWork):
            given["b"] + 1
    assert meter.left == 100
