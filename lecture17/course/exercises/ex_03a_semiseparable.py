"""Exercises of 03a_semiseparable."""

from typing import Any

import numpy as np

from lecture17.reference import semiseparable

from ..exercise import Exercise, Inputs, Misconception

# --- block-rank ---------------------------------------------------------------------------------------------------

THRESHOLD = 1e-8  # singular values below this part of M's largest count as zero


def count(block: np.ndarray, M: np.ndarray) -> int:
    return int((np.linalg.svd(block, compute_uv=False) > THRESHOLD * np.linalg.norm(M, 2)).sum())


def draw_semiseparable(rng: np.random.Generator) -> Inputs:
    """An SSS matrix with sometimes a zero decay or something added to its diagonal; no singular value near 1e-8."""
    while True:
        N, r = int(rng.integers(8, 25)), int(rng.integers(2, 4))
        log_a = np.log(rng.uniform(0.6, 1.0, size=N))
        if rng.random() < 0.4:
            log_a[rng.integers(2, N - 1)] = -np.inf
        M = semiseparable.from_sss(log_a, *rng.normal(size=(2, N, r)))
        if rng.random() < 0.6:
            M += np.diag(rng.uniform(1.0, 2.0, size=N))
        sizes = [np.linalg.svd(M[s:, : s + 1], compute_uv=False) / np.linalg.norm(M, 2) for s in range(N)]
        if not any(((size > 1e-11) & (size < 1e-5)).any() for size in sizes):
            return {"M": M}


def ranks_of(cut: Any) -> Any:
    """The answer that measures the block `cut(M, s)` for each s."""
    return lambda M: np.array([count(cut(M, s), M) for s in range(len(M))])


def ranks_by_elimination(M: np.ndarray) -> np.ndarray:
    """The ranks by Gaussian elimination with complete pivoting, without singular values."""
    ranks = []
    for s in range(len(M)):
        rest, rank = M[s:, : s + 1].copy(), 0
        while rest.size and np.abs(rest).max() > 1e-9 * np.abs(M).max():
            i, j = np.unravel_index(np.abs(rest).argmax(), rest.shape)
            rest, rank = rest - np.outer(rest[:, j], rest[i] / rest[i, j]), rank + 1
        ranks.append(rank)
    return np.array(ranks)


BLOCK_RANK = Exercise(
    id="03a_semiseparable-block-rank",
    points=3,
    unfilled="Return an array with the numerical rank of the block M[s:, :s+1] for each s from 0 to N - 1.",
    draw=draw_semiseparable,
    returns=("ranks",),
    verified="zero decays and additions to the diagonal included",
    expected=ranks_by_elimination,
    misconceptions=(
        Misconception(
            "the ranks of single rows are taken",
            "a single row has rank 1 in any matrix; take all rows from s on, with the columns up to s",
            ranks_of(lambda M, s: M[[s], : s + 1]),
        ),
        Misconception(
            "the diagonal is left out of the blocks",
            "M[s:, :s] lies strictly below the diagonal; the blocks of the definition reach it: M[s:, :s + 1]",
            ranks_of(lambda M, s: M[s:, :s]),
        ),
        Misconception(
            "the leading squares M[:s + 1, :s + 1] are taken",
            "these triangles have full rank when no diagonal entry is zero; rows run from s to the end",
            ranks_of(lambda M, s: M[: s + 1, : s + 1]),
        ),
        Misconception(
            "the blocks extend above the diagonal",
            "columns s + 1 and later are in the future of token s; stop at column s",
            ranks_of(lambda M, s: M[s:, : s + 2]),
        ),
        Misconception(
            "every block's smaller side is returned",
            "that is the largest rank that a block could have; count its singular values above the threshold",
            lambda M: np.minimum(np.arange(len(M)) + 1, len(M) - np.arange(len(M))),
        ),
        Misconception(
            "singular values that are only rounding are counted",
            "rounding leaves tiny numbers in place of exact zeros; count those above 1e-8 times the norm of M",
            lambda M: np.array([(np.linalg.svd(M[s:, : s + 1])[1] > 0).sum() for s in range(len(M))]),
        ),
        Misconception(
            "the largest rank alone is returned",
            "return an array with the rank of each block; its maximum is the r of the definition",
            lambda M: int(ranks_of(lambda M, s: M[s:, : s + 1])(M).max()),
        ),
    ),
    hints=(
        (
            "I do not know how to get a rank",
            "np.linalg.svd(block, compute_uv=False) returns the singular values. Which of them count?",
        ),
        (
            "All my ranks are 1, or all are large",
            "A single row has rank 1, a triangle full rank. Which rows and which columns does the block of s have?",
        ),
        (
            "Some of my ranks are one too small",
            "Does your block contain the diagonal entry M[s, s], its upper right corner?",
        ),
    ),
)

# --- segsum -------------------------------------------------------------------------------------------------------


def draw_log_decays(rng: np.random.Generator) -> Inputs:
    """Ordinary decays, and in two cases of three one of exp(-1e9) or of exactly zero between them."""
    N = int(rng.integers(6, 25))
    log_a = np.log(rng.uniform(0.2, 1.0, size=N))
    log_a[int(rng.integers(1, N - 3))] = rng.choice([log_a[0], -1e9, -np.inf])
    return {"log_a": log_a}


def sums_of_segments(log_a: np.ndarray) -> np.ndarray:
    N = len(log_a)
    return np.array([[sum(log_a[j + 1 : i + 1]) if i >= j else -np.inf for j in range(N)] for i in range(N)])


def verify_segsum(inputs: Inputs, outputs: dict[str, Any]) -> str | None:
    """None if every entry is the sum of its segment, infinities included, each to its own precision."""
    log_a = inputs["log_a"]
    right = sums_of_segments(log_a)
    try:
        value = np.asarray(outputs["sums"], dtype=np.float64)
    except (TypeError, ValueError):
        return "sums must be an array of numbers"
    if value.shape != right.shape:
        return f"sums has shape {value.shape}: expected {right.shape}"
    finite = np.isfinite(right)
    wrong = value != right
    wrong[finite] = ~(np.abs(value[finite] - right[finite]) <= 1e-12 * (1 + np.abs(right[finite])))
    if not wrong.any():
        return None
    i, j = (int(n) for n in np.argwhere(wrong)[0])
    terms = (
        f"the sum of log_a[{j + 1}] to log_a[{i}]" if i > j else "an empty sum" if i == j else "no path back in time"
    )
    return (
        f"sums[{i}, {j}] is {value[i, j]:.15g}, expected {right[i, j]:.15g}, {terms}; "
        f"{int(wrong.sum())} of {wrong.size} entries are wrong"
    )


def sums_by_differences(log_a: np.ndarray) -> np.ndarray:
    c = np.cumsum(log_a)
    return np.where(np.tri(len(c), dtype=bool), c[:, None] - c, -np.inf)


def sums_along_rows(log_a: np.ndarray) -> np.ndarray:
    N = len(log_a)
    terms = np.tril(np.broadcast_to(log_a[:, None], (N, N)), -1)
    return np.where(np.tri(N, dtype=bool), np.cumsum(terms, axis=1), -np.inf)


def segments(first: int, last: int) -> Any:
    """The answer that sums log_a[j + first] to log_a[i + last - 1]."""

    def sums(log_a: np.ndarray) -> np.ndarray:
        N = len(log_a)
        return np.array([[sum(log_a[j + first : i + last]) if i >= j else -np.inf for j in range(N)] for i in range(N)])

    return sums


SEGSUM = Exercise(
    id="03a_semiseparable-segsum",
    points=4,
    unfilled="Return the (N, N) array with log_a[j+1] + … + log_a[i] for i ≥ j and -inf above the diagonal.",
    draw=draw_log_decays,
    returns=("sums",),
    verified="decays of zero and of exp(-1e9) included, every entry to its own precision",
    verify=verify_segsum,
    misconceptions=(
        Misconception(
            "infinities are subtracted, or multiplied by zero",
            "differences of one cumulative sum make inf - inf, a mask of zeros 0 · inf: use np.tril, then only add",
            sums_by_differences,
        ),
        Misconception(
            "zeros stand above the diagonal",
            "exp(0) = 1 would let every token read the future: put -inf there, whose exp is 0",
            lambda log_a: np.tril(sums_of_segments(log_a)),
        ),
        Misconception(
            "the decay of the writing token j is counted",
            "token j's own decay acts before it writes: the first term is log_a[j + 1], and the diagonal is 0",
            segments(0, 1),
        ),
        Misconception(
            "the decay of the reading token i is missing, and that of j is counted",
            "the state decays before token i writes and reads: the terms are j + 1 to i, not j to i - 1",
            segments(0, 0),
        ),
        Misconception(
            "the last term is missing",
            "the end of a Python slice is not part of it: log_a[j + 1 : i + 1]",
            segments(1, 0),
        ),
        Misconception(
            "the sums run along the rows",
            "down a column the reader i moves on and one term is added at a time: cumsum(axis=0)",
            sums_along_rows,
        ),
        Misconception(
            "rows and columns have changed places",
            "rows are readers i, columns writers j, and -inf stands above the diagonal",
            lambda log_a: sums_of_segments(log_a).T,
        ),
    ),
    hints=(
        (
            "I get NaN",
            "-inf minus -inf is NaN, and so is 0 times -inf. Select terms instead of masking them, and only add.",
        ),
        (
            "Only the last digits are wrong",
            "A sum that once contained -1e9 has lost the small terms for good. Where could each sum start instead?",
        ),
        (
            "I do not see how to avoid a double loop",
            "Column j needs the terms k > j, added from the top down: np.tril and np.cumsum can do that.",
        ),
    ),
)

# --- generators-overflow ------------------------------------------------------------------------------------------

LIMIT = float(np.log(np.finfo(np.float64).max))  # 1/f overflows where log f falls below -LIMIT


def draw_strong_decays(rng: np.random.Generator) -> Inputs:
    """Decays strong enough to overflow in most cases, one of them zero in some; no factor close to the limit."""
    while True:
        N, r = int(rng.integers(150, 400)), int(rng.integers(1, 4))
        log_a = rng.uniform(-rng.uniform(2, 9), 0, size=N)
        if rng.random() < 0.4:
            log_a[rng.integers(1, N)] = -np.inf
        sums = np.cumsum(log_a) - log_a[0]
        if np.abs(sums[np.isfinite(sums)] + LIMIT).min() > 0.1:
            return {"log_a": log_a, "B": rng.normal(size=(N, r)), "C": rng.normal(size=(N, r)), "x": rng.normal(size=N)}


def first_overflow(log_a: np.ndarray, limit: float = LIMIT, start: int = 1) -> int:
    total = 0.0
    for j in range(start, len(log_a)):
        total += log_a[j]
        if total < -limit:
            return j
    return len(log_a)


def product_in_full(log_a: np.ndarray, B: np.ndarray, C: np.ndarray, x: np.ndarray) -> np.ndarray:
    return semiseparable.from_sss(log_a, B, C) @ x


def generators(log_a: np.ndarray) -> np.ndarray:
    """The factors f_j, the products of the decays 1 to j."""
    return np.exp(np.cumsum(np.concatenate([[0.0], log_a[1:]])))[:, None]


def by_generators(
    log_a: np.ndarray, B: np.ndarray, C: np.ndarray, x: np.ndarray, f: np.ndarray, v: np.ndarray
) -> np.ndarray:
    return (f * C * np.cumsum(v * x[:, None], axis=0)).sum(axis=1)


def with_y(wrong: Any) -> Any:
    return lambda log_a, B, C, x: (first_overflow(log_a), wrong(log_a, B, C, x))


def with_first(wrong: Any) -> Any:
    return lambda log_a, B, C, x: (wrong(log_a), product_in_full(log_a, B, C, x))


def late_decay(log_a: np.ndarray, B: np.ndarray, C: np.ndarray, x: np.ndarray) -> np.ndarray:
    h, y = np.zeros(B.shape[1]), np.empty(len(x))
    for t in range(len(x)):
        h = np.exp(log_a[t]) * (h + B[t] * x[t])
        y[t] = C[t] @ h
    return y


def clipped(log_a: np.ndarray, B: np.ndarray, C: np.ndarray, x: np.ndarray) -> np.ndarray:
    f = np.maximum(generators(log_a), np.finfo(np.float64).tiny)
    return by_generators(log_a, B, C, x, f, B / f)


GENERATORS_OVERFLOW = Exercise(
    id="03a_semiseparable-generators-overflow",
    points=5,
    unfilled="Return the first token j whose 1/f_j overflows float64 (N if there is none), and y without generators.",
    draw=draw_strong_decays,
    returns=("first", "y"),
    verified="decays of zero included",
    expected=lambda log_a, B, C, x: (first_overflow(log_a), semiseparable.matvec(log_a, B, C, x)),
    misconceptions=(
        Misconception(
            "log_a[0] is counted among the decays of f",
            "f_0 = 1: the decay of token 0 would act on what came before the sequence, and it cancels in u·v",
            with_first(lambda log_a: first_overflow(log_a, start=0)),
            of=("first",),
        ),
        Misconception(
            "first is the token at which f itself becomes zero",
            "1/f_j overflows some tokens before f_j vanishes: the smallest number is much closer to 0 than 1/largest",
            with_first(
                lambda log_a: first_overflow(log_a, limit=-float(np.log(np.finfo(np.float64).smallest_subnormal)))
            ),
            of=("first",),
        ),
        Misconception(
            "first is found for float32",
            "the inputs are float64: np.finfo(np.float64).max is about 1.8e308",
            with_first(lambda log_a: first_overflow(log_a, limit=float(np.log(np.finfo(np.float32).max)))),
            of=("first",),
        ),
        Misconception(
            "first is the last token that still works",
            "return the index of the first factor that overflows, which is one more",
            with_first(lambda log_a: first_overflow(log_a) - 1),
            of=("first",),
        ),
        Misconception(
            "y is still computed with the generators",
            "infinity times zero is NaN; multiply only the decays between j and i, as the recurrence does",
            with_y(lambda log_a, B, C, x: by_generators(log_a, B, C, x, generators(log_a), B / generators(log_a))),
            of=("y",),
        ),
        Misconception(
            "NaN is replaced by zero",
            "that hides the failure: the entries were not zero. Compute them without ever dividing by f",
            with_y(
                lambda log_a, B, C, x: np.nan_to_num(
                    by_generators(log_a, B, C, x, generators(log_a), B / generators(log_a)), posinf=0.0, neginf=0.0
                )
            ),
            of=("y",),
        ),
        Misconception(
            "f is kept from falling below the smallest normal number",
            "then decays stop acting where f is clipped; let the state decay instead of dividing by f",
            with_y(clipped),
            of=("y",),
        ),
        Misconception(
            "the decay acts after the write",
            "h_t = a_t h_{t-1} + B_t x_t: decay the old state first, then add what the token writes",
            with_y(late_decay),
            of=("y",),
        ),
        Misconception(
            "the decays are left out",
            "this is tril(C Bᵀ) x: multiply the state by exp(log_a[t]) at each token",
            with_y(lambda log_a, B, C, x: semiseparable.from_generators(C, B) @ x),
            of=("y",),
        ),
    ),
    hints=(
        (
            "I do not know how to find the first token",
            "log f_j = log_a[1] + … + log_a[j] does not overflow. What is it where 1/f_j becomes too large?",
        ),
        (
            "My first is off by one or by a few tokens",
            "f_0 = 1, so the sum starts at log_a[1]. And it is 1/f that overflows: compare with the largest float64.",
        ),
        (
            "I still get NaN or infinities in y",
            "Do not divide at all. Carry a state from token to token: which decay does it meet at each of them?",
        ),
    ),
)

EXERCISES = (BLOCK_RANK, SEGSUM, GENERATORS_OVERFLOW)
