"""Exercises of 02_intuition."""

from typing import Any

import numpy as np

from ...costs import Meter, metered
from ..exercise import Exercise, Inputs, Misconception

# --- unroll-ssm ---------------------------------------------------------------------------------------------------


def draw_lti(rng: np.random.Generator) -> Inputs:
    """A full, stable transition of two to four numbers, and how it is written and read."""
    N, r = int(rng.integers(4, 20)), int(rng.integers(2, 5))
    A = rng.normal(size=(r, r))
    A *= rng.uniform(0.6, 0.95) / np.abs(np.linalg.eigvals(A)).max()
    return {"A": A, "B": rng.normal(size=r), "C": rng.normal(size=r), "N": N}


def answers_to_impulses(A: np.ndarray, B: np.ndarray, C: np.ndarray, N: int) -> np.ndarray:
    """Column j is the output when token j alone is 1, computed by the recurrence."""
    H, rows = np.zeros((len(B), N)), []
    for impulse in np.eye(N):
        H = A @ H + np.outer(B, impulse)
        rows.append(C @ H)
    return np.array(rows)


def unrolled(response: Any) -> Any:
    """The answer whose entry at distance k below the diagonal is response(A, B, C, k)."""

    def toeplitz(A: np.ndarray, B: np.ndarray, C: np.ndarray, N: int) -> np.ndarray:
        column = [response(A, B, C, k) for k in range(N)]
        return np.array([[column[i - j] if i >= j else 0.0 for j in range(N)] for i in range(N)])

    return toeplitz


UNROLL_SSM = Exercise(
    id="02_intuition-unroll-ssm",
    points=3,
    unfilled="Return the (N, N) matrix M with y = M x for h_t = A h_{t-1} + B x_t, y_t = C·h_t.",
    draw=draw_lti,
    returns=("M",),
    verified="with states of different sizes",
    expected=answers_to_impulses,
    misconceptions=(
        Misconception(
            "the power of A is one too high",
            "token j writes after the decay of its own step: at i = j there is no A at all, C·B",
            unrolled(lambda A, B, C, k: C @ np.linalg.matrix_power(A, k + 1) @ B),
        ),
        Misconception(
            "the state is read before the token is written",
            "y_t reads h_t, which holds x_t already: the diagonal is C·B, and the power below it is i - j",
            unrolled(lambda A, B, C, k: C @ np.linalg.matrix_power(A, k - 1) @ B if k else 0.0),
        ),
        Misconception(
            "A is raised to a power entry by entry",
            "A ** k is not A @ A @ …: use np.linalg.matrix_power(A, k)",
            unrolled(lambda A, B, C, k: C @ A**k @ B),
        ),
        Misconception(
            "B and C have changed places",
            "C reads, on the left, B writes, on the right: C @ power @ B",
            unrolled(lambda A, B, C, k: B @ np.linalg.matrix_power(A, k) @ C),
        ),
        Misconception(
            "the distance is counted twice",
            "A^i in what reads, A^-j in what writes *and* A^(i - j) between them is one too many",
            unrolled(lambda A, B, C, k: C @ np.linalg.matrix_power(A, 2 * k) @ B),
        ),
        Misconception(
            "the matrix is upper triangular",
            "rows are outputs i, columns inputs j, and an output cannot see a later input",
            lambda A, B, C, N: answers_to_impulses(A, B, C, N).T,
        ),
        Misconception(
            "the matrix is filled above the diagonal as well",
            "entry i, j with i < j is zero: no input acts before it comes",
            lambda A, B, C, N: (
                answers_to_impulses(A, B, C, N) + np.tril(answers_to_impulses(A, B, C, N), -1).T  # |i - j|
            ),
        ),
    ),
    hints=(
        ("I do not know what an entry is", "Let only x_j be 1. What is h_j, then h_{j+1}, then h_i? Read it with C."),
        ("Only my diagonal is wrong", "At i = j nothing lies between write and read: A to the power 0, so C·B."),
        ("My matrix drifts off below the diagonal", "Is it np.linalg.matrix_power(A, i - j), and not A ** (i - j)?"),
    ),
)

# --- fast-matvec --------------------------------------------------------------------------------------------------


def draw_both_triangles(rng: np.random.Generator) -> Inputs:
    """Generators of both triangles, of different ranks, on arrays that allow work of the order N·r."""
    N, r, r_up = int(rng.integers(200, 320)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    meter = Meter(
        40 * N * max(r, r_up),
        "the work grows with N², not with N·r: an N × N matrix, or a sum over all tokens for each token",
    )
    shapes = {"U": (N, r), "V": (N, r), "U_up": (N, r_up), "V_up": (N, r_up), "x": (N,)}
    return {name: metered(rng.normal(size=shape), meter) for name, shape in shapes.items()}


def dense(*inputs: np.ndarray, last: int = 0, first: int = 1) -> np.ndarray:
    """The product with the matrix itself: its lower triangle up to diagonal `last`, its upper from `first`."""
    U, V, U_up, V_up, x = map(np.asarray, inputs)
    return (np.tril(U @ V.T, last) + np.triu(U_up @ V_up.T, first)) @ x


FAST_MATVEC = Exercise(
    id="02_intuition-fast-matvec",
    points=5,
    unfilled="Return y = M x with one state that runs forward and one that runs backward, without building M.",
    draw=draw_both_triangles,
    returns=("y",),
    verified="with work of the order N·r, and different ranks in the two triangles",
    expected=dense,
    misconceptions=(
        Misconception(
            "the matrix is built, or every token goes through all the others",
            "carry the sum of v_j x_j along instead, and multiply it by u_i at each token",
            lambda U, V, U_up, V_up, x: (np.tril(U @ V.T) + np.triu(U_up @ V_up.T, 1)) @ x,
        ),
        Misconception(
            "the diagonal is counted in both triangles",
            "the upper part begins right of the diagonal: read the backward state before token i writes to it",
            lambda *inputs: dense(*inputs, first=0),
        ),
        Misconception(
            "the diagonal is left out",
            "the lower part has i ≥ j: write v_i x_i to the forward state before token i reads it",
            lambda *inputs: dense(*inputs, last=-1),
        ),
        Misconception(
            "the diagonal is taken from the upper generators",
            "it belongs to U and V: write before you read when going forward, read before you write going backward",
            lambda *inputs: dense(*inputs, last=-1, first=0),
        ),
        Misconception(
            "only the lower triangle is there",
            "let a second state run from the last token back to the first, with U_up and V_up",
            lambda U, V, U_up, V_up, x: dense(U, V, 0 * U_up, V_up, x),
        ),
        Misconception(
            "both states run forward",
            "the upper triangle reads later tokens: its state starts at the last token and runs back",
            lambda U, V, U_up, V_up, x: dense(U, V, 0 * U_up, V_up, x) + dense(U_up, V_up, 0 * U, V, x, last=-1),
        ),
        Misconception(
            "the sums run over all tokens",
            "U @ (V.T @ x) has no triangle in it: the sum that token i reads ends at i, so carry it along",
            lambda U, V, U_up, V_up, x: np.asarray(U @ (V.T @ x) + U_up @ (V_up.T @ x)),
        ),
        Misconception(
            "U and V have changed places",
            "u reads at row i, v writes at column j: what you sum up is v_j x_j",
            lambda U, V, U_up, V_up, x: dense(V, U, V_up, U_up, x),
        ),
    ),
    hints=(
        (
            "I am told that the work grows with N²",
            "Σ_j u_i·v_j x_j = u_i · (Σ_j v_j x_j), and the sum grows by one term a token.",
        ),
        (
            "Only the diagonal is wrong",
            "Forward: write v_i x_i, then read. Backward: read, then write. Each i counts once.",
        ),
        (
            "I do not see how to go backward",
            "A second loop over reversed(range(N)), with a state of its own, adds to y.",
        ),
    ),
)

EXERCISES = (UNROLL_SSM, FAST_MATVEC)
