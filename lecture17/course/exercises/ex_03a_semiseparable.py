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
    """An SSS matrix whose generators go down to far below 1e-8, with sometimes a zero decay or a larger diagonal.

    The whole is sometimes very large or small; no singular value is within two percent of the threshold.
    """
    while True:
        N, r = int(rng.integers(8, 25)), int(rng.integers(3, 7))
        log_a = np.log(rng.uniform(0.6, 1.0, size=N))
        if rng.random() < 0.4:
            log_a[rng.integers(2, N - 1)] = -np.inf
        sizes = 10.0 ** np.append(0, rng.uniform(-11, 0, size=r - 1))
        M = semiseparable.from_sss(log_a, sizes * rng.normal(size=(N, r)), rng.normal(size=(N, r)))
        if rng.random() < 0.6:
            M += np.diag(rng.uniform(1.0, 2.0, size=N))
        values = np.concatenate([np.linalg.svd(M[s:, : s + 1], compute_uv=False) for s in range(N)])
        if (np.abs(values / (THRESHOLD * np.linalg.norm(M, 2)) - 1) > 0.02).all():
            return {"M": M * rng.choice([1e-4, 1.0, 1.0, 1e4])}


def ranks_of(cut: Any) -> Any:
    """The answer that measures the block `cut(M, s)` for each s."""
    return lambda M: np.array([count(cut(M, s), M) for s in range(len(M))])


def ranks_above(threshold: Any) -> Any:
    """The answer that counts the singular values of each block above threshold(block, M)."""

    def ranks(M: np.ndarray) -> np.ndarray:
        blocks = [M[s:, : s + 1] for s in range(len(M))]
        return np.array([np.linalg.matrix_rank(block, tol=threshold(block, M)) for block in blocks])

    return ranks


def ranks_by_eigenvalues(M: np.ndarray) -> np.ndarray:
    """The ranks from the eigenvalues ±σ of the symmetric matrix [[0, block], [blockᵀ, 0]]."""
    limit, ranks = THRESHOLD * np.linalg.svd(M, compute_uv=False)[0], []
    for s in range(len(M)):
        block = M[s:, : s + 1]
        n, m = block.shape
        both = np.block([[np.zeros((n, n)), block], [block.T, np.zeros((m, m))]])
        ranks.append(int((np.linalg.eigvalsh(both) > limit).sum()))
    return np.array(ranks)


BLOCK_RANK = Exercise(
    id="03a_semiseparable-block-rank",
    points=3,
    unfilled="Return an array with the numerical rank of the block M[s:, :s+1] for each s from 0 to N - 1.",
    draw=draw_semiseparable,
    returns=("ranks",),
    verified="zero decays and singular values on both sides of the threshold included",
    expected=ranks_by_eigenvalues,
    misconceptions=(
        Misconception(
            "the ranks of single rows or columns, or of blocks above the diagonal, are taken",
            "those are 1 in any such matrix; take all rows from s on, with the columns up to s",
            ranks_of(lambda M, s: M[[s], : s + 1]),
        ),
        Misconception(
            "the blocks lie strictly above the diagonal",
            "M is zero there; the blocks of the definition lie below it and reach it: M[s:, :s + 1]",
            ranks_of(lambda M, s: M[:s, s:]),
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
        Misconception(
            "the threshold is relative to each block",
            "the largest singular value of the whole M sets it, the same for all blocks: 1e-8 * np.linalg.norm(M, 2)",
            ranks_above(lambda block, M: THRESHOLD * np.linalg.norm(block, 2)),
        ),
        Misconception(
            "the threshold is 1e-8 whatever the size of M",
            "multiply it by the largest singular value of M: a rank does not change when M is scaled",
            ranks_above(lambda block, M: THRESHOLD),
        ),
        Misconception(
            "the threshold is that of NumPy",
            "np.linalg.matrix_rank counts all that is not rounding: give it tol=1e-8 * np.linalg.norm(M, 2)",
            ranks_above(lambda block, M: None),
        ),
        Misconception(
            "the norm of M is that of its entries",
            "np.linalg.norm(M) is the root of the sum of squares; the largest singular value is np.linalg.norm(M, 2)",
            ranks_above(lambda block, M: THRESHOLD * np.linalg.norm(M)),
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
            "sums are subtracted from each other, or infinities multiplied by zero",
            "a difference of two sums loses the digits of small terms, or is inf - inf: use np.tril, then only add",
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
        Misconception(
            "the exponentials are returned",
            "return the sums themselves, the logs of the mask: the exponential comes later",
            lambda log_a: np.exp(sums_of_segments(log_a)),
        ),
        Misconception(
            "-inf stands on the diagonal too",
            "the empty sum of entry i, i is 0: a token sees itself undecayed",
            lambda log_a: np.where(np.tri(len(log_a), k=-1), sums_of_segments(log_a), -np.inf),
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
    """Decays strong enough to overflow mostly, one of them zero in some; often a factor just misses the limit."""
    while True:
        N, r = int(rng.integers(150, 400)), int(rng.integers(1, 4))
        log_a = rng.uniform(-rng.uniform(2, 9), 0, size=N)
        if rng.random() < 0.4:
            log_a[rng.integers(1, N)] = -np.inf
        first = first_overflow(log_a)
        if 1 < first < N and rng.random() < 0.7:
            log_a[first] = -LIMIT + rng.uniform(0.03, 0.3) * rng.choice([-1, 1]) - log_a[1:first].sum()
        sums = np.cumsum(log_a) - log_a[0]
        if np.nanmin(np.abs(sums + LIMIT)) > 0.02 and (log_a <= 0).all():
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
                lambda log_a: first_overflow(
                    log_a, limit=-float(np.log(np.finfo(np.float64).smallest_subnormal) - np.log(2))
                )
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
            also=(with_first(lambda log_a: first_overflow(log_a) - (first_overflow(log_a) < len(log_a))),),
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
            also=(
                with_y(
                    lambda log_a, B, C, x: np.nan_to_num(
                        by_generators(log_a, B, C, x, generators(log_a), B / generators(log_a))
                    )
                ),
            ),
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
        Misconception(
            "first is 0 where nothing overflows",
            "np.argmax of all False is 0: test with .any() first, and return N",
            with_first(lambda log_a: first_overflow(log_a) % len(log_a)),
            of=("first",),
        ),
        Misconception(
            "the mask is made of differences of one cumulative sum",
            "after a decay of 0 they are -inf - (-inf) = NaN: carry a state, or sum each segment by itself",
            with_y(lambda log_a, B, C, x: (np.exp(sums_by_differences(log_a)) * (C @ B.T)) @ x),
            of=("y",),
        ),
        Misconception(
            "the limit is rounded",
            "compare with np.log(np.finfo(np.float64).max) itself, 709.78…: some factors fall just short of it",
            with_first(lambda log_a: first_overflow(log_a, limit=709.5)),
            of=("first",),
            also=(
                with_first(lambda log_a: first_overflow(log_a, limit=700.0)),
                with_first(lambda log_a: first_overflow(log_a, limit=709.0)),
                with_first(lambda log_a: first_overflow(log_a, limit=710.0)),
            ),
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
