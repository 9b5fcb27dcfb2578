"""Exercises of 03c_family."""

from typing import Any

import numpy as np

from lecture17.reference import gla, retention, rwkv7
from lecture17.reference.semiseparable import segsum

from ..exercise import Exercise, Inputs, Misconception
from ._form import refuse_token_loops


def chunk_of(inputs: Inputs, index: tuple[int, ...]) -> str:
    """The place of token index[-2] in its chunk; tokens are the last axis but one."""
    t, size = index[-2], inputs["chunk_size"]
    return f"token {t % size} of chunk {t // size} (chunks of {size}, counted from 0)"


# --- retention-chunkwise ------------------------------------------------------------------------------------------


def draw_heads(rng: np.random.Generator) -> Inputs:
    """Several heads, each with its own γ, one of them sometimes 0 or 1, and a state to go on from."""
    heads, N, d_k, d_v = (int(rng.integers(*bounds)) for bounds in ((2, 4), (2, 40), (1, 5), (5, 8)))
    gamma = rng.uniform(0.5, 1.0, size=heads)
    if rng.random() < 0.5:
        gamma[rng.integers(heads)] = rng.choice([0.0, 1.0])
    return {
        "Q": rng.normal(size=(heads, N, d_k)),
        "K": rng.normal(size=(heads, N, d_k)),
        "V": rng.normal(size=(heads, N, d_v)),
        "gamma": gamma,
        "chunk_size": int(rng.integers(2, 17)),
        "state": rng.normal(size=(heads, d_k, d_v)),
    }


def each_head(Q: Any, K: Any, V: Any, gamma: Any, chunk_size: int, state: Any) -> tuple[np.ndarray, np.ndarray]:
    heads = [retention.recurrent(*head) for head in zip(Q, K, V, map(float, gamma), state, strict=True)]
    return np.array([y for y, _ in heads]), np.array([S for _, S in heads])


def retained(Q: Any, K: Any, V: Any, gamma: Any, chunk_size: int, state: Any, **slips: bool) -> Any:
    """The chunkwise form of multi-scale retention, with the slips that are asked for."""
    if slips.get("one_gamma"):
        gamma = np.full_like(gamma, gamma[0])
    g = gamma[:, None, None]
    S, y = np.zeros_like(state) if slips.get("from_zero") else state, np.zeros_like(V)
    for start in range(0, V.shape[1], chunk_size):
        q, k, v = (array[:, start : start + chunk_size] for array in (Q, K, V))
        length = v.shape[1]
        if slips.get("lost_in_ragged") and length < chunk_size:
            break
        t = np.arange(length)
        full = chunk_size if slips.get("full_decay") else length
        scores = np.tril(g ** np.abs(t[:, None] - t)) * (q @ k.mT)
        from_start = g ** (t if slips.get("one_short") else t + 1)[:, None]
        to_end = g ** (t if slips.get("decay_from_start") else full - 1 - t)[:, None]
        if slips.get("no_mask"):
            scores = q @ k.mT
        if slips.get("one_long"):
            to_end = to_end * g
        incoming = state if slips.get("not_carried") else S
        y[:, start : start + length] = scores @ v + from_start * (q @ incoming)
        full = chunk_size if slips.get("full_state") else full
        S = (1.0 if slips.get("undecayed_state") else g**full) * S + (to_end * k).mT @ v
    return y, S


def retained_with(name: str) -> Any:
    return lambda *args: retained(*args, **{name: True})


RETENTION_CHUNKWISE = Exercise(
    id="03c_family-retention-chunkwise",
    points=3,
    unfilled="For each chunk: the masked scores inside, what the incoming state adds, and the state passed on.",
    draw=draw_heads,
    returns=("y", "state"),
    verified="each head with its own γ, 0 and 1 included, ragged lengths, from a state that is not zero",
    expected=each_head,
    where=chunk_of,
    at_last=refuse_token_loops(draw_heads),
    misconceptions=(
        Misconception(
            "all heads decay like the first",
            "each head has its own γ: gamma[:, None, None] goes with arrays (heads, tokens, features)",
            retained_with("one_gamma"),
        ),
        Misconception(
            "the first token of a chunk reads the incoming state undecayed",
            "token t of a chunk has decayed it t + 1 times, the first token once",
            retained_with("one_short"),
        ),
        Misconception(
            "a short last chunk decays as if it were full",
            "the state decays by γ to the number of tokens that the chunk really has, and so do its writes",
            retained_with("full_decay"),
            also=(retained_with("full_state"),),
        ),
        Misconception(
            "the state is passed on without the decay of the chunk",
            "the old state shrinks by γ^c before what the chunk's c tokens write is added",
            retained_with("undecayed_state"),
        ),
        Misconception(
            "tokens are added to the state with the decay from the chunk's start",
            "what token t writes decays until the chunk's *end*: γ^(c-1-t)",
            retained_with("decay_from_start"),
        ),
        Misconception(
            "every chunk reads the state that was given at the start",
            "each chunk reads the state that the chunk before it passed on",
            retained_with("not_carried"),
        ),
        Misconception(
            "the state starts from zero",
            "start from the `state` that is given: the sequence may continue another one",
            retained_with("from_zero"),
        ),
        Misconception(
            "a last chunk that is not full is dropped",
            "N need not be a multiple of chunk_size: let the last slice be shorter",
            retained_with("lost_in_ragged"),
        ),
        Misconception(
            "tokens are added to the state with one γ too many",
            "the last token of a chunk writes undecayed: γ^(c-1-t), not γ^(c-t)",
            retained_with("one_long"),
        ),
        Misconception(
            "the scores inside a chunk have no mask",
            "inside a chunk too, token t sees j ≤ t only, with γ^(t-j)",
            retained_with("no_mask"),
        ),
    ),
    hints=(
        (
            "I get a shape error",
            "Tokens are axis 1. k.mT swaps the last two axes; gamma[:, None, None] broadcasts over heads.",
        ),
        (
            "The first chunk is right, the second is not",
            "Its tokens also read S: add γ^(t+1) q_t S, t counted inside the chunk.",
        ),
        (
            "y is right and the state is not",
            "With c tokens in the chunk: S = γ^c S + Σ_t γ^(c-1-t) k_t v_tᵀ. The last chunk may have a smaller c.",
        ),
    ),
)

# --- gla-chunkwise ------------------------------------------------------------------------------------------------


def draw_gla(rng: np.random.Generator) -> Inputs:
    """Gates in [0.2, 1], a quarter of the time some of 1e-30, and half of the time some that are exactly 0."""
    N, d_k, d_v = int(rng.integers(2, 40)), int(rng.integers(2, 5)), int(rng.integers(5, 8))
    log_alpha = np.log(rng.uniform(0.2, 1.0, size=(N, d_k)))
    if rng.random() < 0.25:
        log_alpha[rng.random(size=(N, d_k)) < 0.3] = np.log(1e-30)
    if rng.random() < 0.5:
        log_alpha[rng.integers(N), rng.integers(d_k)] = -np.inf
    return {
        "Q": rng.normal(size=(N, d_k)),
        "K": rng.normal(size=(N, d_k)),
        "V": rng.normal(size=(N, d_v)),
        "log_alpha": log_alpha,
        "chunk_size": int(rng.integers(2, 17)),
    }


def gated(Q: Any, K: Any, V: Any, log_alpha: Any, chunk_size: int, **slips: bool) -> tuple[np.ndarray, np.ndarray]:
    """The chunkwise form of gated linear attention, with the slips that are asked for."""
    if slips.get("gates_the_input"):
        K, log_alpha = np.exp(log_alpha) * K, np.zeros_like(log_alpha)
    if slips.get("one_gate"):
        log_alpha = np.repeat(log_alpha.mean(1, keepdims=True), log_alpha.shape[1], axis=1)
    S, y = np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
    for start in range(0, len(V), chunk_size):
        c = slice(start, start + chunk_size)
        q, k, v, logs = Q[c], K[c], V[c], log_alpha[c]
        L = np.exp([segsum(column) for column in logs.T])  # (d_k, c, c)
        from_start, to_end = np.exp(np.cumsum(logs, axis=0)), L[:, -1].T
        if slips.get("gates_own_write"):
            L, to_end = L * np.exp(logs).T[:, None], to_end * np.exp(logs)
        scores = np.einsum("ic,cij,jc->ij", q, L, k)
        if slips.get("divided"):
            scores = np.tril((q * from_start) @ (k / from_start).T)
        if slips.get("divides_writes"):
            to_end = from_start[-1] / from_start
        if slips.get("subtracted"):
            sums = np.cumsum(logs, axis=0)
            gaps = sums[:, None] - sums
            gaps = np.minimum(gaps, 0) if slips.get("clamped") else gaps
            scores, to_end = np.tril(np.einsum("ic,jc,ijc->ij", q, k, np.exp(gaps))), np.exp(sums[-1] - sums)
        if slips.get("decay_from_start"):
            to_end = from_start
        if slips.get("one_short"):
            from_start = L[:, :, 0].T
        incoming = np.zeros_like(S) if slips.get("not_carried") else S
        y[c] = scores @ v + (q if slips.get("undecayed_read") else q * from_start) @ incoming
        kept = 1.0 if slips.get("undecayed_state") else from_start[-1][:, None]
        kept = 0.0 if slips.get("overwritten") else kept
        S = kept * S + (k if slips.get("undecayed_write") else k * to_end).T @ v
    return y, S


def gated_with(*names: str) -> Any:
    return lambda *args: gated(*args, **dict.fromkeys(names, True))


GLA_CHUNKWISE = Exercise(
    id="03c_family-gla-chunkwise",
    points=5,
    unfilled="For each chunk: scores with the gates between two tokens summed as logs, then read and update the state.",
    draw=draw_gla,
    returns=("y", "state"),
    verified="gates of 1e-30 and exactly 0 included, ragged lengths, chunks longer than the sequence",
    expected=lambda Q, K, V, log_alpha, chunk_size: gla.recurrent(Q, K, V, log_alpha),
    where=chunk_of,
    at_last=refuse_token_loops(draw_gla),
    misconceptions=(
        Misconception(
            "cumulative gates are divided by one another, or their logs subtracted",
            "a gate of 0 makes that 0/0 or inf - inf: sum the logs of each segment by itself, as segsum does",
            gated_with("divided"),
            also=(
                gated_with("divided", "divides_writes"),
                gated_with("subtracted"),
                gated_with("subtracted", "clamped"),
            ),
        ),
        Misconception(
            "the gate scales the input instead of the state",
            "g_j k_j is what the lecture writes; α decays what is stored: S = diag(α) S + k vᵀ",
            gated_with("gates_the_input"),
        ),
        Misconception(
            "one gate is used for all key dimensions",
            "α_t is a vector: each key dimension c has a mask of its own, segsum(log_alpha[:, c])",
            gated_with("one_gate"),
        ),
        Misconception(
            "a token's own gate decays what it writes",
            "token j writes after its gate has acted: the gates between j and i are j+1 … i",
            gated_with("gates_own_write"),
        ),
        Misconception(
            "the state is not carried into the next chunk",
            "add (q ∘ decay from the chunk's start) @ S, with the S that the chunk before passed on",
            gated_with("not_carried"),
            also=(gated_with("not_carried", "overwritten"),),
        ),
        Misconception(
            "the incoming state is read undecayed",
            "token t reads it after the gates of the chunk up to its own: exp(cumsum(log_alpha))",
            gated_with("undecayed_read"),
        ),
        Misconception(
            "the state is passed on without the gates of the chunk",
            "row c of the old state shrinks by the product of all gates of key dimension c in the chunk",
            gated_with("undecayed_state"),
        ),
        Misconception(
            "tokens are added to the state undecayed",
            "what token j writes under key dimension c shrinks by the gates after j, up to the chunk's end",
            gated_with("undecayed_write"),
        ),
        Misconception(
            "tokens are added to the state with the decay from the chunk's start",
            "they need the decay from token j to the chunk's *end*: the last row of each mask",
            gated_with("decay_from_start"),
        ),
        Misconception(
            "the first gate of a chunk does not act on the incoming state",
            "S is the state before the chunk: all its gates act on it, the first one too: exp(cumsum(log_alpha))",
            gated_with("one_short"),
        ),
    ),
    hints=(
        (
            "I do not know how to mask with a vector",
            "One mask per key dimension, L = exp(segsum(logs[:, c])); add up L * np.outer(q[:, c], k[:, c]) over c.",
        ),
        (
            "I get NaN",
            "Nothing may be divided or subtracted that can be 0 or -inf: use segsum for every pair of tokens.",
        ),
        (
            "The first chunk is right and the second is not",
            "Its tokens also read S: which gates have acted on S by token t? And which act on S, and on what token t "
            "wrote, until the chunk ends?",
        ),
    ),
)

# --- delta-online-sgd ---------------------------------------------------------------------------------------------


def draw_delta(rng: np.random.Generator) -> Inputs:
    """Keys of length 1, step sizes in (0, 2), sometimes one that is 0."""
    N, d_k, d_v = int(rng.integers(3, 24)), int(rng.integers(2, 5)), int(rng.integers(5, 8))
    K, beta = rng.normal(size=(N, d_k)), rng.uniform(0.0, 2.0, size=N)
    if rng.random() < 0.5:
        beta[rng.integers(N)] = 0.0
    return {"K": K / np.linalg.norm(K, axis=1, keepdims=True), "V": rng.normal(size=(N, d_v)), "beta": beta}


def by_triangular_solve(K: np.ndarray, V: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All errors e_t = v_t - S_{t-1}ᵀ k_t at once: (I + tril(K Kᵀ, -1) diag(β)) E = V."""
    E = np.linalg.solve(np.eye(len(V)) + np.tril(K @ K.T, -1) * beta, V)
    return (E**2).sum(1) / 2, K.T @ (beta[:, None] * E)


def descended(K: Any, V: Any, beta: Any, **slips: bool) -> tuple[np.ndarray, np.ndarray]:
    """One gradient step a token, with the slips that are asked for."""
    S, losses = np.zeros((K.shape[1], V.shape[1])), np.empty(len(V))
    for t, (k, v) in enumerate(zip(K, V, strict=True)):
        error = v - k @ S
        if slips.get("hebbian"):
            gradient = -np.outer(k, v)
        elif slips.get("forgets_all"):
            gradient = S - np.outer(k, v)
        else:
            gradient = -np.outer(k, error)
        step = (-1 if slips.get("uphill") else 2 if slips.get("no_half") else 1) * beta[t]
        if slips.get("whole_step"):
            step = 1.0
        S = S - step * gradient
        losses[t] = ((v - k @ S if slips.get("loss_after") else error) ** 2).sum() / 2
    return losses * (2 if slips.get("no_half") else 1), S


def descended_with(name: str) -> Any:
    return lambda *args: descended(*args, **{name: True})


DELTA_ONLINE_SGD = Exercise(
    id="03c_family-delta-online-sgd",
    points=3,
    unfilled="For each token: note the loss of the state so far, then take one gradient step of size beta[t].",
    draw=draw_delta,
    returns=("losses", "state"),
    verified="step sizes from 0 to 2",
    expected=by_triangular_solve,
    misconceptions=(
        Misconception(
            "the gradient is that of -v·(Sᵀk): linear attention",
            "the gradient of |v - Sᵀk|²/2 holds the *error*: -k (v - Sᵀk)ᵀ, not -k vᵀ",
            descended_with("hebbian"),
        ),
        Misconception(
            "the step goes uphill",
            "the gradient is -k (v - Sᵀk)ᵀ, and the step subtracts it: what is missing is added",
            descended_with("uphill"),
        ),
        Misconception(
            "the factor ½ of the loss is left out",
            "ℓ = |v - Sᵀk|²/2 has the ½, and so its gradient has no factor 2: look at both, the loss and the step",
            descended_with("no_half"),
            also=(
                lambda *args: (2 * descended(*args)[0], descended(*args)[1]),
                lambda *args: (descended(*args, no_half=True)[0] / 2, descended(*args, no_half=True)[1]),
            ),
        ),
        Misconception(
            "the loss is taken after the step",
            "note how wrong the state *before* this token is, then learn from the token",
            descended_with("loss_after"),
        ),
        Misconception(
            "the whole state decays by 1 - β",
            "only the part along k is replaced: (I - β k kᵀ) S, not (1 - β) S",
            descended_with("forgets_all"),
        ),
        Misconception(
            "every step has the size 1",
            "the step is β_t times the gradient: multiply by beta[t]",
            descended_with("whole_step"),
        ),
        Misconception(
            "the loss is a mean over the entries",
            "|v - Sᵀk|² is the sum of squares: np.sum, not np.mean",
            lambda *args: (descended(*args)[0] / args[1].shape[1], descended(*args)[1]),
            of=("losses",),
        ),
        Misconception(
            "the length of the error is not squared",
            "ℓ = |v - Sᵀk|²/2: np.linalg.norm gives |v - Sᵀk|",
            lambda *args: (np.sqrt(descended(*args)[0] / 2), descended(*args)[1]),
            of=("losses",),
        ),
    ),
    hints=(
        (
            "I do not know the gradient",
            "Let e = v - Sᵀk, so ℓ = |e|²/2. If S[i, j] grows a little, which entry of e changes, and by how much?",
        ),
        ("My losses grow without end", "Look at the sign: S moves *against* the gradient, and adds what is missing."),
        ("I get a shape error", "S is (d_k, d_v) and k is (d_k,): what k recalls is k @ S, which is (d_v,) like v."),
    ),
)

# --- rwkv7-step ---------------------------------------------------------------------------------------------------


def draw_token(rng: np.random.Generator) -> Inputs:
    d_k, d_v = int(rng.integers(2, 5)), int(rng.integers(5, 8))
    return {
        "r": rng.normal(size=d_k),
        "d": rng.normal(scale=2.0, size=d_k),
        "a": rng.uniform(size=d_k),
        "k": rng.normal(size=d_k),
        "v": rng.normal(size=d_v),
        "k_k": rng.uniform(0.5, 1.5, size=d_k),
        "k_a": rng.uniform(0.5, 1.5, size=d_k),
        "S": rng.normal(size=(d_k, d_v)),
    }


def by_parallel(r: Any, d: Any, a: Any, k: Any, v: Any, k_k: Any, k_a: Any, S: Any) -> tuple[np.ndarray, np.ndarray]:
    log_w = -np.exp(-0.5) / (1 + np.exp(-d))
    kappa = k * k_k / np.linalg.norm(k * k_k)
    r, log_w, k, v, kappa, a = (row[None] for row in (r, log_w, k * (1 + (a - 1) * k_a), v, kappa, a))
    y, S = rwkv7.parallel(r, log_w, k, v, kappa, a, S)
    return y[0], S


def stepped(r: Any, d: Any, a: Any, k: Any, v: Any, k_k: Any, k_a: Any, S: Any, **slips: bool) -> Any:
    """One token of RWKV-7, with the slips that are asked for."""
    sigma = 1 / (1 + np.exp(-d))
    w = sigma if slips.get("sigmoid_decay") else np.exp(-(1.0 if slips.get("no_root_e") else np.exp(-0.5)) * sigma)
    if slips.get("rwkv6_decay"):
        w = np.exp(-np.exp(d))
    if slips.get("half"):
        w = np.exp(-0.5 * sigma)
    kappa = k if slips.get("raw_lookup") else k * k_k
    if not slips.get("not_unit"):
        kappa = kappa / np.linalg.norm(kappa)
    written = k if slips.get("raw_key") else k * (1 + (a - 1) * k_a)
    decayed = w[:, None] * S
    found = (kappa * a if slips.get("rate_reads") else kappa) @ (decayed if slips.get("removes_late") else S)
    removed = np.outer(kappa if slips.get("rate_reads") or slips.get("no_rate") else a * kappa, found)
    new = decayed - (0 if slips.get("no_removal") else removed) + np.outer(written, v)
    return r @ (S if slips.get("reads_first") else new), new.T if slips.get("transposed") else new


def stepped_with(name: str) -> Any:
    return lambda *args: stepped(*args, **{name: True})


RWKV7_STEP = Exercise(
    id="03c_family-rwkv7-step",
    points=5,
    unfilled="Compute w, κ̂ and k̃ from the token's numbers, then decay, remove, write and read.",
    draw=draw_token,
    returns=("y", "state"),
    verified="from nonzero states, with values longer than keys",
    expected=by_parallel,
    misconceptions=(
        Misconception(
            "the removal reads the state after its decay",
            "diag(w) and (a∘κ̂)κ̂ᵀ both act on the *old* state: look it up with κ̂ before it decays",
            stepped_with("removes_late"),
        ),
        Misconception(
            "the rates a scale the lookup instead of the removal",
            "κ̂ alone looks up, and a∘κ̂ removes: np.outer(a * kappa, kappa @ S)",
            stepped_with("rate_reads"),
        ),
        Misconception(
            "nothing is removed: this is RWKV-6",
            "subtract (a∘κ̂)(κ̂ᵀ S): replacing instead of adding is what RWKV-7 is about",
            stepped_with("no_removal"),
        ),
        Misconception(
            "κ̂ is not scaled to length 1",
            "divide k∘k_k by its length; otherwise the removal can take out more than there is",
            stepped_with("not_unit"),
        ),
        Misconception(
            "the raw key k is written",
            "write with k̃ = k∘(1 + (a - 1)∘k_a): the rates also say how much is written",
            stepped_with("raw_key"),
        ),
        Misconception(
            "the decay lacks the factor e^(-1/2)",
            "w = exp(-e^(-1/2) σ(d)), so that w stays above 0.545",
            stepped_with("no_root_e"),
        ),
        Misconception(
            "the decay is the sigmoid itself",
            "σ(d) is inside the exponent: w = exp(-e^(-1/2) σ(d))",
            stepped_with("sigmoid_decay"),
        ),
        Misconception(
            "the old state is read",
            "update first, then y = r @ S with the new S",
            stepped_with("reads_first"),
        ),
        Misconception(
            "the state is transposed",
            "S is keys × values, (d_k, d_v); papers of RWKV write it values × keys",
            stepped_with("transposed"),
        ),
        Misconception(
            "the decay is that of RWKV-6",
            "exp(-exp(d)) can close a gate in one token; RWKV-7 has w = exp(-e^(-1/2) σ(d))",
            stepped_with("rwkv6_decay"),
        ),
        Misconception(
            "e^(-1/2) is taken to be 1/2",
            "it is about 0.607: np.exp(-0.5)",
            stepped_with("half"),
        ),
        Misconception(
            "what is looked up is the key itself",
            "κ̂ is k∘k_k, scaled to length 1",
            stepped_with("raw_lookup"),
        ),
        Misconception(
            "the rates a do not act on the removal",
            "a∘κ̂ removes: a = 0 leaves the state as it is, a = 1 replaces",
            stepped_with("no_rate"),
        ),
    ),
    hints=(
        ("I get a shape error", "w, a, κ̂ and k̃ are (d_k,) and go with the rows of S: w[:, None] * S. κ̂ @ S is (d_v,)."),
        (
            "I do not know where a belongs",
            "Twice: np.outer(a * kappa, kappa @ S) is removed, and k̃ = k∘(1 + (a - 1)∘k_a) is written.",
        ),
        (
            "I am close, but not right",
            "Use the same old S for the decay and for the removal, then read from the new one.",
        ),
    ),
)

EXERCISES = (RETENTION_CHUNKWISE, GLA_CHUNKWISE, DELTA_ONLINE_SGD, RWKV7_STEP)
