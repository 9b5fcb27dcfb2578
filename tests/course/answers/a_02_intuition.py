"""Answers to the exercises of 02."""

import numpy as np

from . import right, wrong

UNROLL = "02_intuition-unroll-ssm"
MATVEC = "02_intuition-fast-matvec"


@right(UNROLL)
def column_by_column(A, B, C, N):
    M = np.zeros((N, N))
    for j in range(N):
        h = B
        for i in range(j, N):
            M[i, j] = C @ h
            h = A @ h
    return M


@right(UNROLL)
def impulses_one_by_one(A, B, C, N):
    def run(x):
        h, y = 0 * B, []
        for x_t in x:
            h = A @ h + B * x_t
            y.append(C @ h)
        return y

    return np.array([run(e) for e in np.eye(N)]).T


@wrong(UNROLL, "the power of A is one too high")
def one_power_too_many(A, B, C, N):
    M = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):
            M[i, j] = C @ np.linalg.matrix_power(A, i - j + 1) @ B
    return M


@wrong(UNROLL, "A is raised to a power entry by entry")
def entrywise_power(A, B, C, N):
    M = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):
            M[i, j] = C @ A ** (i - j) @ B
    return M


@wrong(UNROLL, "the state is read before the token is written")
def strictly_below(A, B, C, N):
    M = np.zeros((N, N))
    for i in range(N):
        for j in range(i):
            M[i, j] = C @ np.linalg.matrix_power(A, i - j - 1) @ B
    return M


@wrong(UNROLL, "the matrix is upper triangular")
def transposed_matrix(A, B, C, N):
    M = np.zeros((N, N))
    for i in range(N):
        for j in range(i, N):
            M[i, j] = C @ np.linalg.matrix_power(A, j - i) @ B
    return M


@wrong(UNROLL, "B and C are swapped, or A is transposed")
def transposed_state_matrix(A, B, C, N):
    M = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):
            M[i, j] = C @ np.linalg.matrix_power(A.T, i - j) @ B
    return M


@wrong(UNROLL, "the diagonal is left out")
def diagonal_left_out(A, B, C, N):
    M = np.zeros((N, N))
    for i in range(N):
        for j in range(i):
            M[i, j] = C @ np.linalg.matrix_power(A, i - j) @ B
    return M


@wrong(UNROLL, "the power of A is that of the row")
def power_of_the_row(A, B, C, N):
    M = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):
            M[i, j] = C @ np.linalg.matrix_power(A, i) @ B
    return M


@right(MATVEC)
def cumulative_sums(U, V, U_up, V_up, x):
    low = np.cumsum(V * x[:, None], axis=0)
    up = np.cumsum((V_up * x[:, None])[::-1], axis=0)[::-1]
    up = np.concatenate([up[1:], np.zeros((1, up.shape[1]))])
    return (U * low).sum(1) + (U_up * up).sum(1)


@right(MATVEC)
def two_passes_of_chunks_of_four(U, V, U_up, V_up, x):
    N, y = len(x), np.zeros(len(x))
    S = np.zeros(V.shape[1])
    for s in range(0, N, 4):
        e = min(s + 4, N)
        y[s:e] += np.tril(U[s:e] @ V[s:e].T) @ x[s:e] + U[s:e] @ S
        S = S + V[s:e].T @ x[s:e]
    S = np.zeros(V_up.shape[1])
    for s in reversed(range(0, N, 4)):
        e = min(s + 4, N)
        y[s:e] += np.triu(U_up[s:e] @ V_up[s:e].T, 1) @ x[s:e] + U_up[s:e] @ S
        S = S + V_up[s:e].T @ x[s:e]
    return y


@right(MATVEC)
def total_less_what_is_past(U, V, U_up, V_up, x):
    y = np.empty(len(x))
    state = np.zeros(V.shape[1])
    rest = V_up.T @ x
    for i in range(len(x)):
        state = state + V[i] * x[i]
        rest = rest - V_up[i] * x[i]
        y[i] = U[i] @ state + U_up[i] @ rest
    return y


@wrong(MATVEC, "the matrix is built, or every token goes through all the others")
def builds_the_matrix(U, V, U_up, V_up, x):
    return (np.tril(U @ V.T) + np.triu(U_up @ V_up.T, 1)) @ x


@wrong(MATVEC, "do not build the matrix")
def builds_the_matrix_from_plain_arrays(U, V, U_up, V_up, x):
    U, V, U_up, V_up, x = (np.array(a) for a in (U, V, U_up, V_up, x))
    return (np.tril(U @ V.T) + np.triu(U_up @ V_up.T, 1)) @ x


@wrong(MATVEC, "the matrix is built, or every token goes through all the others")
def a_sum_for_each_token(U, V, U_up, V_up, x):
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = U[i] @ (V[: i + 1].T @ x[: i + 1]) + U_up[i] @ (V_up[i + 1 :].T @ x[i + 1 :])
    return y


@wrong(MATVEC, "the diagonal is counted in both triangles")
def diagonal_in_both(U, V, U_up, V_up, x):
    low = np.cumsum(V * x[:, None], axis=0)
    up = np.cumsum((V_up * x[:, None])[::-1], axis=0)[::-1]
    return (U * low).sum(1) + (U_up * up).sum(1)


@wrong(MATVEC, "the upper triangle is missing")
def lower_triangle_only(U, V, U_up, V_up, x):
    return (U * np.cumsum(V * x[:, None], axis=0)).sum(1)


@wrong(MATVEC, "the diagonal is left out")
def diagonal_in_neither(U, V, U_up, V_up, x):
    y, s = np.zeros(len(x)), np.zeros(V.shape[1])
    for i in range(len(x)):
        y[i] = U[i] @ s
        s = s + V[i] * x[i]
    s = np.zeros(V_up.shape[1])
    for i in reversed(range(len(x))):
        y[i] += U_up[i] @ s
        s = s + V_up[i] * x[i]
    return y


@wrong(MATVEC, "both states run forward")
def upper_sum_runs_forward(U, V, U_up, V_up, x):
    low = np.cumsum(V * x[:, None], axis=0)
    up = np.cumsum(V_up * x[:, None], axis=0) - V_up * x[:, None]
    return (U * low).sum(1) + (U_up * up).sum(1)


@wrong(MATVEC, "the backward sums are not turned back")
def upper_sum_not_turned_back(U, V, U_up, V_up, x):
    low = np.cumsum(V * x[:, None], axis=0)
    up = np.cumsum((V_up * x[:, None])[::-1], axis=0)
    return (U * low).sum(1) + (U_up * up).sum(1)


@wrong(MATVEC, "the sums run over all tokens")
def full_upper_product(U, V, U_up, V_up, x):
    return (U * np.cumsum(V * x[:, None], axis=0)).sum(1) + U_up @ (V_up.T @ x)
