"""Answers to the exercises of 03a."""

import numpy as np

from . import right, wrong

RANK = "03a_semiseparable-block-rank"
SEGSUM = "03a_semiseparable-segsum"
OVERFLOW = "03a_semiseparable-generators-overflow"


@right(RANK)
def ranks_as_32_bit_integers(M):
    limit = 1e-8 * np.linalg.svd(M, compute_uv=False)[0]
    ranks = [int((np.linalg.svd(M[s:, : s + 1], compute_uv=False) > limit).sum()) for s in range(len(M))]
    return np.array(ranks, dtype=np.int32)


@right(RANK)
def by_numpys_rank(M):
    tol = 1e-8 * np.linalg.norm(M, 2)
    return np.array([np.linalg.matrix_rank(M[s:, : s + 1], tol=tol) for s in range(M.shape[0])])


@wrong(RANK, "the threshold is that of NumPy")
def default_rank(M):
    return np.array([np.linalg.matrix_rank(M[s:, : s + 1]) for s in range(len(M))])


@wrong(RANK, "the threshold is relative to each block")
def threshold_of_the_block(M):
    return np.array([np.linalg.matrix_rank(M[s:, : s + 1], rtol=1e-8) for s in range(len(M))])


@wrong(RANK, "the threshold is 1e-8 whatever the size of M")
def absolute_threshold(M):
    return np.array([np.linalg.matrix_rank(M[s:, : s + 1], tol=1e-8) for s in range(len(M))])


@wrong(RANK, "the diagonal is left out of the blocks")
def block_without_the_diagonal(M):
    tol = 1e-8 * np.linalg.norm(M, 2)
    return np.array([np.linalg.matrix_rank(M[s:, :s], tol=tol) if s else 0 for s in range(len(M))])


@wrong(RANK, "the norm of M is that of its entries")
def frobenius_norm(M):
    tol = 1e-8 * np.linalg.norm(M)
    return np.array([np.linalg.matrix_rank(M[s:, : s + 1], tol=tol) for s in range(len(M))])


@wrong(RANK, "the leading squares M[:s + 1, :s + 1] are taken")
def blocks_of_the_upper_left(M):
    tol = 1e-8 * np.linalg.norm(M, 2)
    return np.array([np.linalg.matrix_rank(M[: s + 1, : s + 1], tol=tol) for s in range(len(M))])


@wrong(RANK, "ranks has type float64: expected int64")
def floats(M):
    tol = 1e-8 * np.linalg.norm(M, 2)
    ranks = np.zeros(len(M))
    for s in range(len(M)):
        ranks[s] = (np.linalg.svd(M[s:, : s + 1], compute_uv=False) > tol).sum()
    return ranks


@wrong(RANK, "the largest rank alone is returned")
def the_maximum(M):
    tol = 1e-8 * np.linalg.norm(M, 2)
    return max(np.linalg.matrix_rank(M[s:, : s + 1], tol=tol) for s in range(len(M)))


@wrong(RANK, "")
def threshold_of_six_digits(M):
    tol = 1e-6 * np.linalg.norm(M, 2)
    return np.array([np.linalg.matrix_rank(M[s:, : s + 1], tol=tol) for s in range(len(M))])


@wrong(RANK, "")
def threshold_of_ten_digits(M):
    tol = 1e-10 * np.linalg.norm(M, 2)
    return np.array([np.linalg.matrix_rank(M[s:, : s + 1], tol=tol) for s in range(len(M))])


@wrong(RANK, "or of blocks above the diagonal, are taken")
def blocks_of_the_upper_right(M):
    tolerance = 1e-8 * np.linalg.norm(M, 2)
    return np.array([np.linalg.matrix_rank(M[: s + 1, s:], tol=tolerance) for s in range(len(M))])


@wrong(RANK, "the blocks lie strictly above the diagonal")
def blocks_of_the_future(M):
    tolerance = 1e-8 * np.linalg.norm(M, 2)
    return np.array([np.linalg.matrix_rank(M[:s, s:], tol=tolerance) if s else 0 for s in range(len(M))])


@right(SEGSUM)
def row_by_row(log_a):
    N = len(log_a)
    out = np.full((N, N), -np.inf)
    for i in range(N):
        out[i, i] = 0
        for j in range(i - 1, -1, -1):
            out[i, j] = out[i, j + 1] + log_a[j + 1]
    return out


@wrong(SEGSUM, "sums are subtracted from each other, or infinities multiplied by zero")
def cumulative_sums_subtracted(log_a):
    c = np.cumsum(log_a)
    return np.where(np.tri(len(log_a), dtype=bool), c[:, None] - c[None, :], -np.inf)


@wrong(SEGSUM, "the decay of the writing token j is counted")
def first_decay_counted(log_a):
    N = len(log_a)
    out = np.full((N, N), -np.inf)
    for i in range(N):
        for j in range(i + 1):
            out[i, j] = log_a[j : i + 1].sum()
    return out


@wrong(SEGSUM, "zeros stand above the diagonal")
def zeros_above(log_a):
    N = len(log_a)
    out = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):
            out[i, j] = log_a[j + 1 : i + 1].sum()
    return out


@wrong(SEGSUM, "the decay of the reading token i is missing, and that of j is counted")
def last_decay_left_out(log_a):
    N = len(log_a)
    out = np.full((N, N), -np.inf)
    for i in range(N):
        for j in range(i + 1):
            out[i, j] = log_a[j:i].sum()
    return out


@right(SEGSUM)
def masked_by_multiplication(log_a):
    N = len(log_a)
    steps = np.tril(np.repeat(log_a[:, None], N, axis=1), -1)
    return np.cumsum(steps, axis=0) * np.tri(N) + np.triu(np.full((N, N), -np.inf), 1)


@wrong(SEGSUM, "the exponentials are returned")
def exponentials_returned(log_a):
    N = len(log_a)
    out = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):
            out[i, j] = np.exp(log_a[j + 1 : i + 1].sum())
    return out


@wrong(SEGSUM, "")
def infinities_clipped(log_a):
    c = np.cumsum(np.maximum(log_a, -1e30))
    return np.where(np.tri(len(log_a), dtype=bool), c[:, None] - c[None, :], -np.inf)


@wrong(SEGSUM, "-inf stands on the diagonal too")
def diagonal_masked(log_a):
    N = len(log_a)
    out = np.full((N, N), -np.inf)
    for i in range(N):
        for j in range(i):
            out[i, j] = log_a[j + 1 : i + 1].sum()
    return out


def _mended(log_a, B, C, x):
    S, y = np.zeros(B.shape[1]), np.zeros(len(x))
    for t in range(len(x)):
        S = np.exp(log_a[t]) * S + B[t] * x[t]
        y[t] = C[t] @ S
    return y


@right(OVERFLOW)
def searched_with_a_loop(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total = total + float(log_a[j])
        if -total > np.log(np.finfo(np.float64).max):
            first = j
            break
    return first, _mended(log_a, B, C, x)


@right(OVERFLOW)
def searched_with_nonzero(log_a, B, C, x):
    logs = np.cumsum(log_a[1:])
    hits = 1 + np.flatnonzero(-logs > np.log(np.finfo("d").max))
    return (hits[0] if hits.size else len(x)), _mended(log_a, B, C, x)


@wrong(OVERFLOW, "log_a[0] is counted among the decays of f")
def first_decay_in_f(log_a, B, C, x):
    over = -np.cumsum(log_a) > np.log(np.finfo(np.float64).max)
    return (int(over.argmax()) if over.any() else len(x)), _mended(log_a, B, C, x)


@wrong(OVERFLOW, "first is 0 where nothing overflows")
def argmax_without_any(log_a, B, C, x):
    f = np.cumsum(log_a) - log_a[0]
    return int(np.argmax(-f > np.log(np.finfo(np.float64).max))), _mended(log_a, B, C, x)


@wrong(OVERFLOW, "first is the token at which f itself becomes zero")
def underflow_of_f(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total += log_a[j]
        if np.exp(total) == 0:
            first = j
            break
    return first, _mended(log_a, B, C, x)


@wrong(OVERFLOW, "first is found for float32")
def limit_of_float32(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total += log_a[j]
        if -total > np.log(np.finfo(np.float32).max):
            first = j
            break
    return first, _mended(log_a, B, C, x)


@wrong(OVERFLOW, "the limit is rounded")
def limit_rounded_down(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total += log_a[j]
        if -total > 709.5:
            first = j
            break
    return first, _mended(log_a, B, C, x)


@wrong(OVERFLOW, "first is the last token that still works")
def last_good_token(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total += log_a[j]
        if -total > np.log(np.finfo(np.float64).max):
            first = j - 1
            break
    return first, _mended(log_a, B, C, x)


@wrong(OVERFLOW, "y is still computed with the generators")
def not_mended(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total += log_a[j]
        if -total > np.log(np.finfo(np.float64).max):
            first = j
            break
    f = np.exp(np.cumsum(log_a) - log_a[0])
    u, v = C * f[:, None], B / f[:, None]
    return first, (u * np.cumsum(v * x[:, None], axis=0)).sum(axis=1)


@wrong(OVERFLOW, "NaN is replaced by zero")
def nan_replaced_by_zero(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total += log_a[j]
        if -total > np.log(np.finfo(np.float64).max):
            first = j
            break
    f = np.exp(np.cumsum(log_a) - log_a[0])
    u, v = C * f[:, None], B / f[:, None]
    return first, np.nan_to_num((u * np.cumsum(v * x[:, None], axis=0)).sum(axis=1))


@wrong(OVERFLOW, "the mask is made of differences of one cumulative sum")
def mended_with_cumulative_sums(log_a, B, C, x):
    total, first = 0.0, len(x)
    for j in range(1, len(x)):
        total += log_a[j]
        if -total > np.log(np.finfo(np.float64).max):
            first = j
            break
    c = np.cumsum(log_a)
    L = np.exp(np.where(np.tri(len(x), dtype=bool), c[:, None] - c, -np.inf))
    return first, (L * (C @ B.T)) @ x


@wrong(OVERFLOW, "first is a NoneType: expected a number")
def none_when_there_is_none(log_a, B, C, x):
    total, first = 0.0, None
    for j in range(1, len(x)):
        total += log_a[j]
        if -total > np.log(np.finfo(np.float64).max):
            first = j
            break
    return first, _mended(log_a, B, C, x)
