"""Exercises of 03b_duality."""

from typing import Any

import numpy as np

from lecture17.reference import attention, linear_attention, ssd
from lecture17.reference.semiseparable import from_sss, segsum

from ..exercise import Exercise, Inputs, Misconception
from ._form import refuse_token_loops

# --- exp-counterexample -------------------------------------------------------------------------------------------


def draw_number(rng: np.random.Generator) -> Inputs:
    return {"q1": float(rng.choice([rng.uniform(1.5, 4.0), rng.uniform(-2.0, 0.5)]))}


def verify_counterexample(inputs: Inputs, outputs: dict[str, Any]) -> str | None:
    """None if exp(q·k) ≠ exp(q)·exp(k), and the two are equal for the numbers q1 and k1."""
    try:
        q, k, k1 = (np.asarray(outputs[n], dtype=np.float64) for n in ("q", "k", "k1"))
    except (TypeError, ValueError):
        return "q and k must be arrays of numbers, and k1 a number"
    if q.ndim != 1 or q.shape != k.shape or len(q) < 2:
        return f"q has shape {q.shape} and k {k.shape}: expected two vectors of one length, at least 2"
    if k1.ndim != 0 or not all(np.isfinite(v).all() for v in (q, k, k1)):
        return "q, k and k1 must be finite, and k1 a single number"
    one, two = q @ k, np.logaddexp.reduce(q + k)  # the logs of both sides
    if abs(one - two) < 1e-6:
        return f"for your q and k both sides are {np.exp(one):.6g}: no counterexample"
    q1 = inputs["q1"]
    if abs(q1 * k1 - (q1 + k1)) > 1e-9 * (1 + abs(q1 * k1)):
        return f"for q1 = {q1:.6g} and your k1 = {k1:.6g}, exp(q1·k1) is not exp(q1)·exp(k1)"
    return None


def counterexample_with(k1: Any) -> Any:
    return lambda q1: (np.ones(2), np.ones(2), k1(q1))


EXP_COUNTEREXAMPLE = Exercise(
    id="03b_duality-exp-counterexample",
    points=2,
    unfilled="Return two vectors that break exp(q·k) = exp(q)·exp(k), and the number k1 for which it holds with q1.",
    draw=draw_number,
    returns=("q", "k", "k1"),
    verified="and your k1 makes both sides equal each time",
    verify=verify_counterexample,
    misconceptions=(
        Misconception(
            "k1 is -q1",
            "q1 + k1 = 0 makes the right side 1, but the left side is exp(-q1²): solve q1·k1 = q1 + k1",
            counterexample_with(lambda q1: -q1),
            of=("k1",),
        ),
        Misconception(
            "k1 is 1/(q1 - 1)",
            "k1·(q1 - 1) = q1 has q1 on the right side, not 1",
            counterexample_with(lambda q1: 1 / (q1 - 1)),
            of=("k1",),
        ),
        Misconception(
            "k1 is q1 itself",
            "q1² = 2·q1 holds for q1 = 0 and 2 only: solve q1·k1 = q1 + k1 for k1",
            counterexample_with(lambda q1: q1),
            of=("k1",),
        ),
        Misconception(
            "k1 is q1/(q1 + 1)",
            "bring k1 to one side with its sign: q1·k1 - k1 = q1",
            counterexample_with(lambda q1: q1 / (q1 + 1)),
            of=("k1",),
        ),
        Misconception(
            "k1 has the wrong sign",
            "from q1·k1 - k1 = q1 follows k1 = q1/(q1 - 1)",
            counterexample_with(lambda q1: q1 / (1 - q1)),
            of=("k1",),
        ),
        Misconception(
            "k1 solves q1·k1 = -(q1 + k1)",
            "the exponents must be equal, not opposite: q1·k1 = q1 + k1",
            counterexample_with(lambda q1: -q1 / (q1 + 1)),
            of=("k1",),
        ),
        Misconception(
            "k1 is 2",
            "2·q1 = q1 + 2 holds for q1 = 2 only: k1 must depend on q1",
            counterexample_with(lambda q1: 2.0),
            of=("k1",),
        ),
    ),
    hints=(
        (
            "I do not see how to get a counterexample",
            "Nearly any two vectors will do. Give each two numbers, and compute both sides.",
        ),
        ("I cannot find k1", "Write the right side as a single exponential. When are two exponentials equal?"),
        ("I cannot solve my equation for k1", "It is linear in k1: collect the terms with k1 on one side."),
    ),
)

# --- running-normalizer -------------------------------------------------------------------------------------------


def draw_positive(rng: np.random.Generator) -> Inputs:
    N, d_k, d_v = int(rng.integers(2, 24)), int(rng.integers(1, 5)), int(rng.integers(5, 8))
    return {
        "Q": np.exp(rng.normal(size=(N, d_k))),
        "K": np.exp(rng.normal(size=(N, d_k))),
        "V": rng.normal(size=(N, d_v)),
    }


def normalized(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, (S, z) = linear_attention.parallel(Q, K, V, normalize=True)
    return y, S, z


def normalizer_of_all_keys(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, S, z = normalized(Q, K, V)
    return np.tril(Q @ K.T) @ V / (Q @ z)[:, None], S, z


def normalizer_one_late(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, S, z = normalized(Q, K, V)
    with np.errstate(all="ignore"):
        return np.tril(Q @ K.T) @ V / np.tril(Q @ K.T, -1).sum(1, keepdims=True), S, z


def read_before_write(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, S, z = normalized(Q, K, V)
    scores = np.tril(Q @ K.T, -1)
    with np.errstate(all="ignore"):
        return scores @ V / scores.sum(1, keepdims=True), S, z


def with_y(y: Any) -> Any:
    return lambda Q, K, V: (y(Q, K, V), *normalized(Q, K, V)[1:])


def divided_over_and_over(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    S, z, y = np.zeros((K.shape[1], V.shape[1])), np.cumsum(K, axis=0), np.empty_like(V)
    for t in range(len(V)):
        S = (S + np.outer(K[t], V[t])) / (Q[t] @ z[t])
        y[t] = Q[t] @ S
    return y


RUNNING_NORMALISER = Exercise(
    id="03b_duality-running-normaliser",
    points=3,
    unfilled="Walk through the tokens with a state S and a normalizer z; return y, and both as they are at the end.",
    draw=draw_positive,
    returns=("y", "S", "z"),
    verified="with different N, d_k and d_v",
    expected=normalized,
    misconceptions=(
        Misconception(
            "the normalizer is missing",
            "divide q_t S_t by the number q_t·z_t",
            lambda Q, K, V: (np.tril(Q @ K.T) @ V, *normalized(Q, K, V)[1:]),
        ),
        Misconception(
            "every token is divided by the sum over all keys, later ones too",
            "z is a running sum: token t divides by q_t·z_t, with the keys up to t only",
            normalizer_of_all_keys,
        ),
        Misconception(
            "the normalizer is one token late",
            "add k_t to z before you divide: token t counts itself",
            normalizer_one_late,
        ),
        Misconception(
            "token t reads before it has written",
            "update S and z with k_t and v_t first, then read",
            read_before_write,
            also=(lambda *inputs: tuple(map(np.nan_to_num, read_before_write(*inputs))),),
        ),
        Misconception(
            "the state is transposed",
            "S is keys × values, (d_k, d_v): np.outer(k_t, v_t), and y_t = q_t @ S",
            lambda Q, K, V: (normalized(Q, K, V)[0], normalized(Q, K, V)[1].T, normalized(Q, K, V)[2]),
        ),
        Misconception(
            "every token is divided by how many there are so far",
            "the weights q_t·k_j are not all 1: divide by their sum, q_t·z_t",
            with_y(lambda Q, K, V: np.tril(Q @ K.T) @ V / np.arange(1, len(V) + 1)[:, None]),
            of=("y",),
        ),
        Misconception(
            "the query is missing in the normalizer",
            "z is a vector, and what divides is the number q_t·z_t",
            with_y(lambda Q, K, V: np.tril(Q @ K.T) @ V / np.cumsum(K.sum(1))[:, None]),
            of=("y",),
        ),
        Misconception(
            "the outputs are divided by the root of the normalizer",
            "divide by q_t·z_t itself: only then do the weights of a token sum to 1, as correction 3 shows",
            with_y(lambda Q, K, V: np.tril(Q @ K.T) @ V / np.sqrt(np.tril(Q @ K.T).sum(1))[:, None]),
            of=("y",),
        ),
        Misconception(
            "the normalizer sums the values",
            "z is the sum of the keys: row t of tril(Q Kᵀ) sums to q_t·(k_0 + … + k_t)",
            with_y(lambda Q, K, V: np.tril(Q @ K.T) @ V / np.cumsum(V, axis=0)),
            of=("y",),
        ),
        Misconception(
            "the state itself is divided",
            "S stays a plain sum; divide what is read from it, q_t S_t",
            with_y(divided_over_and_over),
            of=("y",),
        ),
        Misconception(
            "every token sees the whole sequence",
            "token t reads what was written up to t: walk through the tokens, or keep the lower triangle",
            with_y(lambda Q, K, V: (Q @ K.T) @ V / (Q @ K.T).sum(1, keepdims=True)),
            of=("y",),
        ),
    ),
    hints=(
        (
            "I do not know what to carry along",
            "Two sums over the tokens so far: S for the numerator, and z for the denominator. Both start at zero.",
        ),
        ("I get a shape error", "S is (d_k, d_v), z is (d_k,). q_t @ S is (d_v,), and q_t @ z is a number."),
        ("The first row is infinite or NaN", "Token 0 counts itself. What does z hold when token 0 divides?"),
    ),
)

# --- ssd-parallel and ssd-chunkwise -------------------------------------------------------------------------------


def draw_ssd(rng: np.random.Generator) -> Inputs:
    """Ragged lengths, a different number of states and features, decays in [0.2, 1] and sometimes exactly 0."""
    N, d_state, d = int(rng.integers(2, 40)), int(rng.integers(1, 5)), int(rng.integers(5, 8))
    log_a = np.log(rng.uniform(0.2, 1.0, size=N))
    if rng.random() < 0.5:
        log_a[rng.integers(N)] = -np.inf
    return {
        "x": rng.normal(size=(N, d)),
        "log_a": log_a,
        "B": rng.normal(size=(N, d_state)),
        "C": rng.normal(size=(N, d_state)),
    }


def draw_chunks(rng: np.random.Generator) -> Inputs:
    inputs = draw_ssd(rng)
    return {**inputs, "chunk_size": int(rng.integers(2, 17))}


def mask_by_differences(x: np.ndarray, log_a: np.ndarray, B: np.ndarray, C: np.ndarray) -> np.ndarray:
    sums = np.cumsum(log_a)
    return np.where(np.tri(len(x)), np.exp(sums[:, None] - sums[None, :]), 0.0) * (C @ B.T) @ x


def mask_off_by_one(x: np.ndarray, log_a: np.ndarray, B: np.ndarray, C: np.ndarray) -> np.ndarray:
    return (np.exp(segsum(log_a) + log_a[None, :]) * (C @ B.T)) @ x


SSD_PARALLEL = Exercise(
    id="03b_duality-ssd-parallel",
    points=3,
    unfilled="Build the decay mask L from `log_a`, then return (L ∘ C Bᵀ) x.",
    draw=draw_ssd,
    returns=("y",),
    verified="decays of exactly 0 included",
    expected=lambda x, log_a, B, C: ssd.recurrent(x, log_a, B, C)[0],
    misconceptions=(
        Misconception(
            "the decay is missing",
            "this is plain linear attention, tril(C Bᵀ) x; multiply by L entry by entry",
            lambda x, log_a, B, C: np.tril(C @ B.T) @ x,
        ),
        Misconception(
            "the mask is off by one",
            "L[i, j] multiplies the decays j+1 to i: token j's own decay acts before it writes",
            mask_off_by_one,
        ),
        Misconception(
            "B and C have changed places",
            "C reads (rows, outputs) and B writes (columns, inputs): C @ B.T",
            lambda x, log_a, B, C: from_sss(log_a, C, B) @ x,
        ),
        Misconception(
            "L is computed from differences of one cumulative sum",
            "a decay of 0 makes it inf - inf = NaN; sum each segment by itself, as segsum does",
            mask_by_differences,
        ),
        Misconception(
            "the diagonal is left out",
            "a token sees itself undecayed: L[i, i] = 1",
            lambda x, log_a, B, C: np.tril(from_sss(log_a, B, C), -1) @ x,
        ),
        Misconception(
            "L multiplies as a matrix",
            "the product L ∘ C Bᵀ is entry by entry: `*`, not `@`",
            lambda x, log_a, B, C: np.exp(segsum(log_a)) @ (C @ B.T) @ x,
        ),
        Misconception(
            "the mask is not exponentiated",
            "segsum gives log L, with -inf above the diagonal: take np.exp of it",
            lambda x, log_a, B, C: (segsum(log_a) * (C @ B.T)) @ x,
        ),
        Misconception(
            "the scores are in the exponent",
            "only the decays are logs: exp(segsum) times C Bᵀ, not exp of their sum",
            lambda x, log_a, B, C: np.exp(segsum(log_a) + C @ B.T) @ x,
        ),
        Misconception(
            "the rows are divided by their sums",
            "that belongs to softmax: an SSM normalizes nothing",
            lambda x, log_a, B, C: from_sss(log_a, B, C) / from_sss(log_a, B, C).sum(1, keepdims=True) @ x,
        ),
        Misconception(
            "the scores are divided by the root of d_state",
            "that scale belongs to attention; the formula here has none",
            lambda x, log_a, B, C: from_sss(log_a, B, C) @ x / np.sqrt(B.shape[1]),
        ),
    ),
    hints=(
        (
            "I do not know how to build L",
            "segsum(log_a) is the log of L, with -inf above the diagonal. What is exp(-inf)?",
        ),
        (
            "I get NaN",
            "A decay of 0 is log_a = -inf, and inf - inf is NaN. Do not subtract cumulative sums: use segsum.",
        ),
        (
            "Only the diagonal is right",
            "Compare L[1, 0] with exp(log_a[1]): the decay of the *later* token stands there.",
        ),
    ),
)


def chunked(x: Any, log_a: Any, B: Any, C: Any, chunk_size: int, **slips: bool) -> tuple[np.ndarray, np.ndarray]:
    """The four steps, with the slips that are asked for."""
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for start in range(0, len(x), chunk_size):
        c = slice(start, start + chunk_size)
        from_start = np.exp(np.cumsum(log_a[c]))
        to_end = np.exp(segsum(log_a[c])[-1])
        if slips.get("undecayed_read"):
            from_start = np.ones_like(from_start)
        if slips.get("undecayed_write"):
            to_end = np.ones_like(to_end)
        if slips.get("decay_from_start"):
            to_end = np.exp(np.cumsum(log_a[c]))
        if slips.get("subtracted"):
            to_end = np.exp(log_a[c].sum() - np.cumsum(log_a[c]))
        if slips.get("one_short"):
            from_start = np.exp(segsum(log_a[c])[:, 0])
        if slips.get("lost_in_ragged") and len(x[c]) < chunk_size:
            break
        y[c] = from_sss(log_a[c], B[c], C[c]) @ x[c]
        incoming = np.zeros_like(S) if slips.get("not_carried") else S
        kept = 1.0 if slips.get("undecayed_state") else np.exp(log_a[c].sum())
        S = (0 if slips.get("overwritten") else kept * S) + (to_end[:, None] * B[c]).T @ x[c]
        y[c] += from_start[:, None] * (C[c] @ (S if slips.get("reads_after") else incoming))
    return y, S.T if slips.get("transposed") else S


def slip(name: str) -> Any:
    return lambda x, log_a, B, C, chunk_size: chunked(x, log_a, B, C, chunk_size, **{name: True})


def in_whole_chunks(x: np.ndarray, log_a: np.ndarray, B: np.ndarray, C: np.ndarray, chunk_size: int) -> Any:
    x.reshape(-1, chunk_size, x.shape[1])  # fails where N is not a multiple
    return ssd.recurrent(x, log_a, B, C)


def chunk_of(inputs: Inputs, index: tuple[int, ...]) -> str:
    t, size = index[0], inputs["chunk_size"]
    return f"token {t % size} of chunk {t // size} (chunks of {size}, counted from 0)"


SSD_CHUNKWISE = Exercise(
    id="03b_duality-ssd-chunkwise",
    points=7,
    unfilled="Write the four steps: diagonal block, chunk state, state passing, and the output of the incoming state.",
    draw=draw_chunks,
    returns=("y", "state"),
    verified="ragged lengths, chunks longer than the sequence and decays of 0 included",
    expected=lambda x, log_a, B, C, chunk_size: ssd.recurrent(x, log_a, B, C),
    where=chunk_of,
    at_last=refuse_token_loops(draw_chunks),
    misconceptions=(
        Misconception(
            "the state is not carried into the next chunk",
            "step 3 passes the state on, and step 4 adds what it contributes to every token of the next chunk",
            slip("not_carried"),
        ),
        Misconception(
            "the incoming state is read undecayed",
            "in step 4 token t of a chunk sees it shrunk by the decays from the chunk's first token to t",
            slip("undecayed_read"),
        ),
        Misconception(
            "the state is passed on without the decay of the chunk",
            "in step 3 the old state shrinks by the product of all decays of the chunk before the new part is added",
            slip("undecayed_state"),
        ),
        Misconception(
            "the state is replaced by the chunk's own part",
            "step 3 adds: new state = (decay of the chunk) · old state + the chunk's part",
            slip("overwritten"),
        ),
        Misconception(
            "tokens are added to the state undecayed",
            "in step 2 what token j writes shrinks by the decays after j, up to the chunk's end",
            slip("undecayed_write"),
        ),
        Misconception(
            "tokens are added to the state with the decay from the chunk's start",
            "step 2 needs the decay from token j to the chunk's *end*: the last row of the decay mask",
            slip("decay_from_start"),
        ),
        Misconception(
            "the state is transposed",
            "S is keys × values, (d_state, d): B.T @ x, and C @ S",
            slip("transposed"),
        ),
        Misconception(
            "a last chunk that is not full is dropped",
            "N need not be a multiple of chunk_size: let the last slice be shorter",
            slip("lost_in_ragged"),
        ),
        Misconception(
            "the sequence is reshaped into whole chunks",
            "N need not be a multiple of chunk_size: slice x[start : start + chunk_size] instead of reshaping",
            in_whole_chunks,
        ),
        Misconception(
            "the first token of a chunk reads the incoming state undecayed",
            "S is the state before the chunk, so the decay of the first token acts on it: np.exp(np.cumsum(log_a))",
            slip("one_short"),
        ),
        Misconception(
            "tokens read the state after the chunk",
            "step 4 reads the state *before* the chunk: add its output before you update S",
            slip("reads_after"),
        ),
        Misconception(
            "the decay to the chunk's end is a difference of cumulative sums",
            "after a decay of 0 it is -inf - (-inf) = NaN: the last row of segsum sums each segment by itself",
            slip("subtracted"),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "Loop over slices of chunk_size tokens. Step 1 is masked attention, (L ∘ C Bᵀ) x, on one slice.",
        ),
        (
            "The first chunk is right and the second is not",
            "The second chunk reads a state. Does it arrive, and has it decayed when token t reads it?",
        ),
        (
            "y is right and the state is not",
            "What token j writes decays until the chunk's end. Which row of the chunk's mask L holds these decays?",
        ),
    ),
)

# --- softmax-rank -------------------------------------------------------------------------------------------------

THRESHOLD = 1e-8  # singular values below this part of the largest count as zero


def draw_split(rng: np.random.Generator) -> Inputs:
    """Queries, keys and a split: some singular values lie below the threshold, and none within two percent of it."""
    d_k = int(rng.integers(1, 4))
    while True:
        N = int(rng.integers(40, 70))
        Q, K = rng.normal(size=(2, N, d_k)) / d_k**1.5
        split = int(rng.integers(18, N - 18))
        s = np.linalg.svd(attention.softmax_matrix(Q, K)[split:, :split], compute_uv=False)
        if s[-1] < THRESHOLD * s[0] and (np.abs(s / (THRESHOLD * s[0]) - 1) > 0.02).all():
            return {"Q": Q, "K": K, "split": split}


def count(block: np.ndarray) -> int:
    s = np.linalg.svd(block, compute_uv=False)
    return int((s > THRESHOLD * s.max(initial=0.0)).sum())


def rank_above(tol: Any) -> Any:
    """The answer that counts the singular values of the block above tol(P)."""

    def rank(Q: np.ndarray, K: np.ndarray, split: int) -> int:
        P = attention.softmax_matrix(Q, K)
        return int(np.linalg.matrix_rank(P[split:, :split], tol=tol(P)))

    return rank


SOFTMAX_RANK = Exercise(
    id="03b_duality-softmax-rank",
    points=2,
    unfilled="Build the causal softmax matrix P and return the numerical rank of P[split:, :split].",
    draw=draw_split,
    returns=("rank",),
    verified="at different splits, lengths and key sizes",
    expected=lambda Q, K, split: count(attention.softmax_matrix(Q, K)[split:, :split]),
    misconceptions=(
        Misconception(
            "the scores are not exponentiated",
            "Q Kᵀ has rank d_k at most; it is the exponential that has no finite feature map",
            lambda Q, K, split: count((Q @ K.T)[split:, :split]),
        ),
        Misconception(
            "the rank of the whole matrix is taken",
            "P is triangular with a positive diagonal, so its own rank is always N; take the block P[split:, :split]",
            lambda Q, K, split: count(attention.softmax_matrix(Q, K)),
        ),
        Misconception(
            "the block above the diagonal is taken",
            "rows are the future, columns the past: P[split:, :split]",
            lambda Q, K, split: count(attention.softmax_matrix(Q, K)[:split, split:]),
        ),
        Misconception(
            "the block's smaller side is returned",
            "that is the largest rank the block could have; count the singular values above the threshold",
            lambda Q, K, split: min(split, len(Q) - split),
        ),
        Misconception(
            "the threshold is relative to the whole matrix",
            "here it is 1e-8 times the largest singular value of the block",
            rank_above(lambda P: THRESHOLD * np.linalg.norm(P, 2)),
        ),
        Misconception(
            "the threshold is 1e-8 itself",
            "multiply it by the largest singular value of the block",
            rank_above(lambda P: THRESHOLD),
        ),
        Misconception(
            "the threshold is that of NumPy",
            "np.linalg.matrix_rank counts all that is not rounding: give it the threshold of the text",
            rank_above(lambda P: None),
        ),
    ),
    hints=(
        (
            "I get a rank that is always N",
            "A triangular matrix with a positive diagonal has full rank. Which part of P is the block?",
        ),
        (
            "I get d_k every time",
            "That is the rank of the scores Q Kᵀ. Softmax does more to them: softmax_matrix does it all.",
        ),
        (
            "My rank is too large",
            "Some singular values are only rounding. Which threshold does the text give, and relative to what?",
        ),
    ),
)

# --- random-features ----------------------------------------------------------------------------------------------


def draw_features(rng: np.random.Generator) -> Inputs:
    N, d, m = int(rng.integers(2, 20)), int(rng.integers(2, 5)), int(rng.integers(6, 30))
    return {"X": rng.normal(size=(N, d)), "W": rng.normal(size=(m, d))}


def features(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    return np.array([[np.exp(w @ x - x @ x / 2) for w in W] for x in X]) / np.sqrt(len(W))


RANDOM_FEATURES = Exercise(
    id="03b_duality-random-features",
    points=2,
    unfilled="Return φ(x)_i = exp(w_i·x - |x|²/2)/√m for every row x of X and every row w_i of W.",
    draw=draw_features,
    returns=("phi",),
    verified="with different numbers of features",
    expected=features,
    misconceptions=(
        Misconception(
            "the term -|x|²/2 is missing",
            "without it the average of φ(q)·φ(k) is exp(|q + k|²/2), not exp(q·k)",
            lambda X, W: np.exp(X @ W.T) / np.sqrt(len(W)),
        ),
        Misconception(
            "the factor 1/√m is missing",
            "φ(q)·φ(k) must be the *average* over the m features, and each side carries half of 1/m",
            lambda X, W: features(X, W) * np.sqrt(len(W)),
        ),
        Misconception(
            "each side is divided by m",
            "the product then carries 1/m²; divide φ by √m",
            lambda X, W: features(X, W) / np.sqrt(len(W)),
        ),
        Misconception(
            "|x| is not squared",
            "the exponent holds |x|²/2 = (x·x)/2",
            lambda X, W: np.exp(X @ W.T - np.linalg.norm(X, axis=1, keepdims=True) / 2) / np.sqrt(len(W)),
        ),
        Misconception(
            "|x|² is not halved",
            "the average of exp(w·s) over normal w is exp(|s|²/2): the half stays",
            lambda X, W: np.exp(X @ W.T - (X**2).sum(1, keepdims=True)) / np.sqrt(len(W)),
        ),
        Misconception(
            "the root is that of the wrong size",
            "m is the number of directions, the rows of W",
            lambda X, W: features(X, W) * np.sqrt(len(W) / X.shape[1]),
        ),
        Misconception(
            "the norm is that of all rows together",
            "each row has its own |x|²: sum along axis 1, and keep it as a column",
            lambda X, W: np.exp(X @ W.T - (X**2).sum() / 2) / np.sqrt(len(W)),
        ),
        Misconception(
            "the norm is that of the directions",
            "the exponent holds |x|²/2, one number for each row of X",
            lambda X, W: np.exp(X @ W.T - (W**2).sum(1) / 2) / np.sqrt(len(W)),
        ),
        Misconception(
            "|x|²/2 is added",
            "it is subtracted: it takes away what the average of exp(w·x) has too much",
            lambda X, W: np.exp(X @ W.T + (X**2).sum(1, keepdims=True) / 2) / np.sqrt(len(W)),
        ),
    ),
    hints=(
        (
            "I get a shape error",
            "X is (N, d), W is (m, d), φ is (N, m). |x|² is one number per row: keep it as a column.",
        ),
        (
            "My features estimate the wrong kernel",
            "Write out φ(q)·φ(k), and use that exp(w·s) is exp(|s|²/2) on average.",
        ),
        (
            "I am right up to a factor",
            "φ(q)·φ(k) is to be the mean over m features. How much of the factor 1/m belongs to each side?",
        ),
    ),
)

EXERCISES = (EXP_COUNTEREXAMPLE, RUNNING_NORMALISER, SSD_PARALLEL, SSD_CHUNKWISE, SOFTMAX_RANK, RANDOM_FEATURES)
