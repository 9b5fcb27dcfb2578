"""Exercises of 02_intuition."""

import tracemalloc
from typing import Any

import numpy as np

from ...costs import Meter, metered
from ..exercise import Exercise, Function, Inputs, Misconception, WrongForm

# --- unroll-ssm ---------------------------------------------------------------------------------------------------


def draw_lti(rng: np.random.Generator) -> Inputs:
    """A full, stable transition of a state of two to four numbers, with the vectors that write and read it."""
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
            "token j writes after A has acted in its own step: at i = j there is no A, only C·B",
            unrolled(lambda A, B, C, k: C @ np.linalg.matrix_power(A, k + 1) @ B),
        ),
        Misconception(
            "the state is read before the token is written",
            "y_t reads h_t, which already contains x_t: the diagonal is C·B, and below it the power is i - j",
            unrolled(lambda A, B, C, k: C @ np.linalg.matrix_power(A, k - 1) @ B if k else 0.0),
        ),
        Misconception(
            "A is raised to a power entry by entry",
            "A ** k is not A @ A @ …: use np.linalg.matrix_power(A, k)",
            unrolled(lambda A, B, C, k: C @ A**k @ B),
        ),
        Misconception(
            "B and C are swapped, or A is transposed",
            "C reads and stands on the left, B writes and stands on the right: C @ power @ B",
            unrolled(lambda A, B, C, k: B @ np.linalg.matrix_power(A, k) @ C),
        ),
        Misconception(
            "the distance is counted twice",
            "A^i in what reads and A^-j in what writes already make A^(i - j): do not put it between them again",
            unrolled(lambda A, B, C, k: C @ np.linalg.matrix_power(A, 2 * k) @ B),
        ),
        Misconception(
            "the matrix is upper triangular",
            "rows are outputs i, columns inputs j, and an output cannot see a later input",
            lambda A, B, C, N: answers_to_impulses(A, B, C, N).T,
        ),
        Misconception(
            "the matrix is filled above the diagonal as well",
            "entry i, j with i < j is zero: no input acts before it arrives",
            lambda A, B, C, N: (
                answers_to_impulses(A, B, C, N) + np.tril(answers_to_impulses(A, B, C, N), -1).T  # |i - j|
            ),
        ),
        Misconception(
            "the diagonal is left out",
            "y_t reads h_t, which contains x_t: M[i, i] is C·B",
            unrolled(lambda A, B, C, k: C @ np.linalg.matrix_power(A, k) @ B if k else 0.0),
        ),
        Misconception(
            "the power of A is that of the row",
            "token j writes at j: only the i - j steps after it count",
            lambda A, B, C, N: np.array(
                [[C @ np.linalg.matrix_power(A, i) @ B * (i >= j) for j in range(N)] for i in range(N)]
            ),
        ),
    ),
    hints=(
        (
            "I do not know what an entry is",
            "Let only x_j be 1. What is h_j, then h_{j+1}, then h_i? Now read h_i with C.",
        ),
        ("Only my diagonal is wrong", "How many times does A act between the write of token j and the read at i = j?"),
        (
            "My matrix goes wrong below the diagonal",
            "Do you take powers of the matrix A, or powers of each entry of A?",
        ),
    ),
)

# --- fast-matvec --------------------------------------------------------------------------------------------------


def draw_both_triangles(rng: np.random.Generator) -> Inputs:
    """Generators of both triangles, of different ranks; where there are many, work of the order N·r is allowed."""
    r, r_up = (int(n) for n in rng.integers(1, 4, size=2))
    N = int(rng.choice([rng.integers(4, 40), rng.integers(700, 900)], p=[0.75, 0.25]))
    meter = Meter(
        max(200 * N, 200_000) * (r + r_up),
        "the work grows with N², not with N·r: an N × N matrix, or a sum over all tokens for each token",
    )
    shapes = {"U": (N, r), "V": (N, r), "U_up": (N, r_up), "V_up": (N, r_up), "x": (N,)}
    return {name: metered(rng.normal(size=shape), meter) for name, shape in shapes.items()}


def refuse_the_matrix(answer: Function) -> None:
    """Raise WrongForm if an answer holds N² numbers, also in arrays that are not counted."""
    N = 1000
    U, V, U_up, V_up = np.random.default_rng(0).normal(size=(4, N, 2))
    traced = tracemalloc.is_tracing()  # by the learner: then what is held already is not the answer's
    tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        answer(U, V, U_up, V_up, V[:, 0].copy())
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not traced:
            tracemalloc.stop()
    if peak > 4 * N**2:
        raise WrongForm(f"y is right, but {peak / 1e6:.0f} MB are held for {N} tokens: do not build the matrix")


def upper_not_turned_back(*inputs: np.ndarray) -> np.ndarray:
    U, V, U_up, V_up, x = map(np.asarray, inputs)
    return np.tril(U @ V.T) @ x + (U_up * np.cumsum((V_up * x[:, None])[::-1], axis=0)).sum(1)


def dense(*inputs: np.ndarray, last: int = 0, first: int = 1) -> np.ndarray:
    """The product with the matrix itself: its lower triangle up to diagonal `last`, its upper from `first`."""
    U, V, U_up, V_up, x = map(np.asarray, inputs)
    return (np.tril(U @ V.T, last) + np.triu(U_up @ V_up.T, first)) @ x


FAST_MATVEC = Exercise(
    id="02_intuition-fast-matvec",
    points=5,
    unfilled="Return y = M x, with one state running forward and one running backward, without building M.",
    draw=draw_both_triangles,
    returns=("y",),
    verified="with work of the order N·r, and different ranks in the two triangles",
    expected=dense,
    at_last=refuse_the_matrix,
    misconceptions=(
        Misconception(
            "the matrix is built, or every token goes through all the others",
            "carry the sum of v_j x_j from token to token instead, and multiply it by u_i at each one",
            lambda U, V, U_up, V_up, x: (np.tril(U @ V.T) + np.triu(U_up @ V_up.T, 1)) @ x,
        ),
        Misconception(
            "the diagonal is counted in both triangles",
            "the upper part starts right of the diagonal: read the backward state before token i writes to it",
            lambda *inputs: dense(*inputs, first=0),
        ),
        Misconception(
            "the diagonal is left out",
            "the lower part has i ≥ j: write v_i x_i to the forward state before token i reads it",
            lambda *inputs: dense(*inputs, last=-1),
        ),
        Misconception(
            "the diagonal is taken from the upper generators",
            "it belongs to U and V: going forward, write before you read; going backward, read before you write",
            lambda *inputs: dense(*inputs, last=-1, first=0),
        ),
        Misconception(
            "the upper triangle is missing",
            "run a second state from the last token back to the first, with U_up and V_up",
            lambda U, V, U_up, V_up, x: dense(U, V, 0 * U_up, V_up, x),
        ),
        Misconception(
            "both states run forward",
            "the upper triangle reads later tokens: its state starts at the last token and runs back",
            lambda U, V, U_up, V_up, x: dense(U, V, 0 * U_up, V_up, x) + dense(U_up, V_up, 0 * U, V, x, last=-1),
        ),
        Misconception(
            "the sums run over all tokens",
            "U @ (V.T @ x) has no triangle in it: the sum that token i reads ends at i, so build it up token by token",
            lambda U, V, U_up, V_up, x: np.asarray(U @ (V.T @ x) + U_up @ (V_up.T @ x)),
            also=(lambda U, V, U_up, V_up, x: dense(U, V, 0 * U_up, V_up, x) + np.asarray(U_up @ (V_up.T @ x)),),
        ),
        Misconception(
            "U and V are swapped",
            "u reads at row i, and v writes at column j: what you add up is v_j x_j",
            lambda U, V, U_up, V_up, x: dense(V, U, V_up, U_up, x),
        ),
        Misconception(
            "the backward sums are not turned back",
            "[::-1] before cumsum runs from the end; what comes out is still in that order: reverse it again",
            upper_not_turned_back,
        ),
    ),
    hints=(
        (
            "I am told that the work grows with N²",
            "In Σ_j u_i·v_j x_j, what does not depend on j? Pull it out. How does the rest change from i to i + 1?",
        ),
        (
            "Only the diagonal is wrong",
            "Which triangle does it belong to? That decides, for each direction, whether to write or to read first.",
        ),
        (
            "I do not see how to go backward",
            "Above the diagonal, token i reads later tokens. Start a second state at the last token.",
        ),
    ),
)

EXERCISES = (UNROLL_SSM, FAST_MATVEC)
