"""Exercises of 01_tour."""

from typing import Any

import numpy as np

from lecture17.reference import gla, retention, ssd

from ..exercise import Exercise, Function, Inputs, Misconception, WrongForm
from . import _retention as slips
from ._form import refuse_token_loops
from ._wkv import WKV


def key_and_value_sizes(rng: np.random.Generator) -> tuple[int, int]:
    """Mostly different; now and then equal, so that a transposed state gives numbers and not an exception."""
    d_k = int(rng.integers(2, 5))
    return d_k, d_k if rng.random() < 0.25 else int(rng.integers(5, 8))


# --- mamba2-micro -------------------------------------------------------------------------------------------------


def draw_mamba2(rng: np.random.Generator) -> Inputs:
    """Steps of different lengths, some of them 0: such a token neither forgets nor writes."""
    N, (d_state, d) = int(rng.integers(2, 40)), key_and_value_sizes(rng)
    dt = np.exp(rng.uniform(np.log(0.05), np.log(2.0), size=N))
    dt[rng.random(N) < 0.1] = 0.0
    return {
        "x": rng.normal(size=(N, d)),
        "dt": dt,
        "A": -float(rng.uniform(0.1, 1.5)),
        "B": rng.normal(size=(N, d_state)),
        "C": rng.normal(size=(N, d_state)),
        "state": rng.normal(size=(d_state, d)),
    }


def mamba2(x: Any, dt: Any, A: float, B: Any, C: Any, state: Any, **slips: bool) -> tuple[np.ndarray, np.ndarray]:
    """The loop, with the slips that are asked for."""
    S = np.zeros_like(state) if slips.get("forgets_start") else state
    decay = np.exp(dt * (-A if slips.get("grows") else A))
    if slips.get("linear_attention"):
        decay = np.ones_like(dt)
    if slips.get("euler"):
        decay = 1 + dt * A
    if slips.get("same_for_all"):
        decay = np.full_like(dt, np.exp(A))
    if slips.get("exact"):
        dt = (decay - 1) / A
    y = np.empty_like(x)
    for t in range(len(x)):
        new = np.outer(B[t], x[t] if slips.get("unscaled") else dt[t] * x[t])
        if slips.get("reads_first"):
            y[t] = C[t] @ S
        S = decay[t] * (S + new) if slips.get("decays_new") else decay[t] * S + new
        if not slips.get("reads_first"):
            y[t] = C[t] @ S
    return y, S.T if slips.get("transposed") else S


def mamba2_with(name: str) -> Any:
    return lambda x, dt, A, B, C, state: mamba2(x, dt, A, B, C, state, **{name: True})


def mamba2_in_place(x: Any, dt: Any, A: float, B: Any, C: Any, state: Any) -> tuple[np.ndarray, np.ndarray]:
    y, state[:] = mamba2(x, dt, A, B, C, state)
    return y, state


MAMBA2_MICRO = Exercise(
    id="01_tour-mamba2-micro",
    points=4,
    unfilled="Go through the tokens: multiply the state by exp(dt·A), add dt·B xᵀ, read with C.",
    draw=draw_mamba2,
    returns=("y", "state"),
    verified="with a state to start from, and steps of 0",
    expected=lambda x, dt, A, B, C, state: ssd.parallel(dt[:, None] * x, dt * A, B, C, state),
    misconceptions=(
        Misconception(
            "nothing decays",
            "this is plain linear attention, as in correction 8: multiply the old state by exp(dt[t]·A) at each token",
            mamba2_with("linear_attention"),
        ),
        Misconception(
            "the step does not scale what is written",
            "dt[t] does two things: it sets the decay exp(dt[t]·A), and it multiplies what is written",
            mamba2_with("unscaled"),
        ),
        Misconception(
            "all tokens decay by exp(A)",
            "each token has its own decay, exp(dt[t]·A)",
            mamba2_with("same_for_all"),
        ),
        Misconception(
            "the decay is applied after the update",
            "decay only the old state, then write: S = exp(dt[t]·A)·S + new, not exp(dt[t]·A)·(S + new)",
            mamba2_with("decays_new"),
        ),
        Misconception(
            "the decay is 1 + dt·A",
            "these are the first two terms of the series of exp(dt·A), negative for long steps: use np.exp(dt[t] * A)",
            mamba2_with("euler"),
        ),
        Misconception(
            "the exponent has the wrong sign",
            "A is already negative, so exp(dt[t]·A) is below 1; exp(-dt[t]·A) makes the state grow",
            mamba2_with("grows"),
        ),
        Misconception(
            "a token reads before it has written",
            "token t sees itself: update S first, then y[t] = C[t] @ S",
            mamba2_with("reads_first"),
        ),
        Misconception(
            "the given state is ignored",
            "start from `state`, not from zeros: a sequence cut in two must continue where it stopped",
            mamba2_with("forgets_start"),
        ),
        Misconception(
            "the state is transposed",
            "S is keys × values, (d_state, d): np.outer(B[t], x[t]), and y[t] = C[t] @ S",
            mamba2_with("transposed"),
        ),
        Misconception(
            "`*=` or `+=` overwrites the given state",
            "start with S = state.copy(), or make a new array at each token: S = decay * S + new",
            mamba2_in_place,
        ),
        Misconception(
            "the input is discretized exactly",
            "(exp(dt·A) - 1)/A is what a constant input would add; the formula here writes dt·B xᵀ",
            mamba2_with("exact"),
        ),
    ),
    hints=(
        (
            "I do not know where to start",
            "Start from `mamba2_loop` in the notebook. What are its log_a[t] and its x[t] here?",
        ),
        (
            "I get a shape error",
            "np.outer(B[t], x[t]) is (d_state, d), like the state; C[t] @ S is (d,), like a row of y.",
        ),
        (
            "Only the first token is right",
            "Check the order: decay the old state, write, then read. Does each token use its own dt[t]?",
        ),
    ),
)

# --- gla-gate -----------------------------------------------------------------------------------------------------


def draw_gla(rng: np.random.Generator) -> Inputs:
    """Gates from nearly open to nearly closed, some fully closed (z = -inf)."""
    N, (d_k, d_v) = int(rng.integers(2, 40)), key_and_value_sizes(rng)
    z = rng.normal(-6.0, 6.0, size=(N, d_k))
    if rng.random() < 0.5:
        z[rng.integers(N), rng.integers(d_k)] = -np.inf
    return {
        "Q": rng.normal(size=(N, d_k)),
        "K": rng.normal(size=(N, d_k)),
        "V": rng.normal(size=(N, d_v)),
        "z": z,
    }


def log_gates(z: np.ndarray) -> np.ndarray:
    """log σ(z)^{1/16}."""
    return -np.logaddexp(0, -z) / 16


def decay_rows(S: np.ndarray, alpha: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return alpha[:, None] * S + np.outer(k, v)


def gates_of_z(z: np.ndarray) -> np.ndarray:
    return np.exp(log_gates(z))


def gla_by(step: Any = decay_rows, gates: Any = gates_of_z, reads_first: bool = False) -> Any:
    """GLA with S = step(S, gate, k, v) and gates of z."""

    def gated(Q: np.ndarray, K: np.ndarray, V: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        alpha, S, y = gates(z), np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
        for t in range(len(V)):
            old, S = S, step(S, alpha[t], K[t], V[t])
            y[t] = Q[t] @ (old if reads_first else S)
        return y, S

    return gated


GLA_GATE = Exercise(
    id="01_tour-gla-gate",
    points=3,
    unfilled="Compute the gates σ(z)^(1/16). Before a token writes, multiply each row of the state by its gate.",
    draw=draw_gla,
    returns=("y", "state"),
    verified="closed gates (z = -inf) included",
    expected=lambda Q, K, V, z: gla.parallel(Q, K, V, log_gates(z)),
    misconceptions=(
        Misconception(
            "the gate multiplies the key and not the state",
            "as in correction 12: a gate on the input forgets nothing; it must multiply the *old state*, row by row",
            gla_by(lambda S, alpha, k, v: S + np.outer(alpha * k, v)),
        ),
        Misconception(
            "the gate also acts on what is being written",
            "a token's gate acts on the old state only: alpha·S + k vᵀ, not alpha·(S + k vᵀ)",
            gla_by(lambda S, alpha, k, v: alpha[:, None] * (S + np.outer(k, v))),
        ),
        Misconception(
            "the gate runs along the values",
            "gates belong to keys, the rows of S: alpha[t][:, None] * S; without [:, None] they scale columns",
            gla_by(lambda S, alpha, k, v: alpha * S + np.outer(k, v)),
        ),
        Misconception(
            "the sixteenth root is missing",
            "α = σ(z) ** (1/16): without the root, a gate of 0.5 forgets nearly everything within ten tokens",
            gla_by(gates=lambda z: np.exp(16 * log_gates(z))),
        ),
        Misconception(
            "the gate is raised to the power 16",
            "α = σ(z) ** (1/16), the sixteenth root: the power 16 closes nearly every gate",
            gla_by(gates=lambda z: np.exp(256 * log_gates(z))),
        ),
        Misconception(
            "all keys share one gate",
            "that is Mamba-2's decay; GLA has d_k gates, one for each row of S",
            gla_by(lambda S, alpha, k, v: alpha.mean() * S + np.outer(k, v)),
        ),
        Misconception(
            "what is written is multiplied by 1 - α",
            "that is how a GRU mixes old and new; GLA writes all of k vᵀ",
            gla_by(lambda S, alpha, k, v: alpha[:, None] * S + np.outer((1 - alpha) * k, v)),
        ),
        Misconception(
            "there is no gate",
            "this is plain linear attention: multiply the rows of S by α before you write",
            gla_by(lambda S, alpha, k, v: S + np.outer(k, v)),
        ),
        Misconception(
            "a token reads before it has written",
            "token t sees itself: compute y[t] = Q[t] @ S after updating S",
            gla_by(reads_first=True),
        ),
        Misconception(
            "the gate is divided by 16",
            "the exponent 1/16 is a root: σ(z) ** (1/16), not σ(z) / 16",
            gla_by(gates=lambda z: np.exp(16 * log_gates(z)) / 16),
        ),
        Misconception(
            "the sigmoid is missing",
            "exp(z/16) grows without bound: first σ(z) = 1/(1 + exp(-z)), then the root",
            gla_by(gates=lambda z: np.exp(z / 16)),
        ),
        Misconception(
            "the sigmoid has the wrong sign",
            "σ(z) = 1/(1 + exp(-z)): a large z leaves the gate open",
            gla_by(gates=lambda z: gates_of_z(-z)),
        ),
    ),
    hints=(
        (
            "I get a shape error",
            "alpha[t] is (d_k,), and S is (d_k, d_v). NumPy aligns last axes, so turn alpha[t] into a column first.",
        ),
        (
            "I get a warning of an overflow in exp",
            "It is harmless: 1 / (1 + inf) is 0, a closed gate, and that is what z = -inf means.",
        ),
        (
            "My first token is right, the others are not",
            "Only the old state is gated: what a token writes meets only the gates of later tokens.",
        ),
    ),
)

# --- retention-three-ways -----------------------------------------------------------------------------------------


def draw_retention(rng: np.random.Generator) -> Inputs:
    """Decays in [0.5, 1], sometimes exactly 0 or 1; chunks from one token to more than there are."""
    N, (d_k, d_v) = int(rng.integers(3, 40)), key_and_value_sizes(rng)
    gamma = float(rng.choice([rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0), 0.0, 1.0]))
    return {
        "Q": rng.normal(size=(N, d_k)),
        "K": rng.normal(size=(N, d_k)),
        "V": rng.normal(size=(N, d_v)),
        "gamma": gamma,
        "chunk_size": int(rng.integers(2, 17)),
    }


FORMS = {"parallel": slips.parallel, "recurrent": slips.recurrent, "chunkwise": slips.chunkwise}


def retention_with(form: str, name: str) -> Any:
    """All three forms, `form` with a slip."""
    return lambda *inputs: tuple(run(*inputs, **({name: True} if f == form else {})) for f, run in FORMS.items())


def three_times_the_same(Q: Any, K: Any, V: Any, gamma: float, chunk_size: int) -> tuple[np.ndarray, ...]:
    return (retention.recurrent(Q, K, V, gamma)[0],) * 3


def refuse_copies(answer: Function) -> None:
    """Raise WrongForm if two forms agree to the last bit, or the chunks do not matter."""
    Q, K, V = np.random.default_rng(0).normal(size=(3, 37, 4))
    outputs = answer(Q, K, V, 0.9, 5)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if np.array_equal(outputs[i], outputs[j]):
            names = list(FORMS)
            raise WrongForm(
                f"{names[i]} and {names[j]} are the same to the last bit: compute each of the three in its own way"
            )
    refuse_token_loops(draw_retention)(lambda *inputs: answer(*inputs)[2])


def full_chunks(Q: Any, K: Any, V: Any, gamma: float, chunk_size: int) -> tuple[np.ndarray, ...]:
    V.reshape(-1, chunk_size, V.shape[1])  # fails where N is not a multiple
    return three_times_the_same(Q, K, V, gamma, chunk_size)


RETENTION_THREE_WAYS = Exercise(
    id="01_tour-retention-three-ways",
    points=5,
    unfilled="Compute the outputs of retention in three ways: all at once, token by token, and chunk by chunk.",
    draw=draw_retention,
    returns=("parallel", "recurrent", "chunkwise"),
    verified="ragged lengths, chunks longer than the sequence, γ = 0 and γ = 1 included",
    expected=three_times_the_same,
    at_last=refuse_copies,
    misconceptions=(
        Misconception(
            "the rows of the parallel form are divided by their sums",
            "as in correction 11: O = (D ∘ Q Kᵀ) V with nothing divided; the recurrence divides nothing either",
            retention_with("parallel", "normalized"),
            of=("parallel",),
        ),
        Misconception(
            "the parallel form looks into the future",
            "D is 0 above the diagonal: take np.tril of the powers of γ",
            retention_with("parallel", "uncausal"),
            of=("parallel",),
        ),
        Misconception(
            "the parallel mask has one γ too many",
            "D[i, j] = γ^(i-j): a token sees itself undecayed, D[i, i] = 1",
            retention_with("parallel", "decays_new"),
            of=("parallel",),
        ),
        Misconception(
            "powers above the diagonal are multiplied by 0",
            "at γ = 0 they are infinite there, and 0·inf is NaN: use np.tril or np.where, or the powers of |i - j|",
            retention_with("parallel", "masked_by_product"),
            of=("parallel",),
        ),
        Misconception(
            "the recurrent form carries a vector",
            "as in correction 11: the state is a matrix, (d_k, d_v), a sum of np.outer(K[t], V[t]) with decays",
            retention_with("recurrent", "vector"),
            of=("recurrent",),
        ),
        Misconception(
            "the recurrent form applies γ after the update",
            "decay only the old state: S = γ S + k vᵀ, not γ (S + k vᵀ)",
            retention_with("recurrent", "decays_new"),
            of=("recurrent",),
        ),
        Misconception(
            "the recurrent form reads before it has written",
            "token t sees itself: update S first, then y[t] = Q[t] @ S",
            retention_with("recurrent", "reads_first"),
            of=("recurrent",),
        ),
        Misconception(
            "the state is not carried into the next chunk",
            "earlier chunks act through S: add γ^(i-s+1) q_i S to the output of token i in a chunk that starts at s",
            retention_with("chunkwise", "not_carried"),
            of=("chunkwise",),
        ),
        Misconception(
            "a chunk reads the incoming state undecayed",
            "token i of a chunk that starts at s sees the state multiplied by γ^(i-s+1)",
            retention_with("chunkwise", "undecayed_read"),
            of=("chunkwise",),
        ),
        Misconception(
            "a chunk reads the incoming state with one γ too few",
            "S is the state *before* the chunk: even its first token decays it once, so γ^(i-s+1) and not γ^(i-s)",
            retention_with("chunkwise", "one_short"),
            of=("chunkwise",),
        ),
        Misconception(
            "the state is passed on without the decay of the chunk",
            "over a chunk of c tokens the old state is multiplied by γ^c",
            retention_with("chunkwise", "undecayed_state"),
            of=("chunkwise",),
        ),
        Misconception(
            "a chunk writes its tokens undecayed",
            "what token j writes decays until the end of the chunk, by γ^(s+c-1-j); only the last token does not decay",
            retention_with("chunkwise", "undecayed_write"),
            of=("chunkwise",),
        ),
        Misconception(
            "a chunk divides inside and adds an undivided part from the state",
            "as in correction 11: nothing is divided, or the output would depend on the chunk size",
            retention_with("chunkwise", "half_normalized"),
            of=("chunkwise",),
        ),
        Misconception(
            "every chunk is assumed to be full",
            "the last chunk may be shorter: slice, and take c and the powers of γ from the length of the slice",
            full_chunks,
        ),
        Misconception(
            "γ^i is divided by γ^j",
            "at γ = 0 that is 0/0: take γ to the power i - j, for i ≥ j only",
            retention_with("parallel", "divided"),
            of=("parallel",),
        ),
        Misconception(
            "a last chunk that is not full is dropped",
            "N need not be a multiple of chunk_size: let the last slice be shorter",
            retention_with("chunkwise", "lost_in_ragged"),
            of=("chunkwise",),
        ),
    ),
    hints=(
        (
            "I do not know where to start",
            "`retnet_loop` in the notebook is the second form. Make the other two agree with it.",
        ),
        (
            "The first chunk is right and the second is not",
            "Print S after the first chunk, and compare it with the loop's state after the same token.",
        ),
        (
            "I get a shape error in the last chunk",
            "The last chunk may be shorter: how long are your powers of γ there?",
        ),
    ),
)

EXERCISES = (MAMBA2_MICRO, GLA_GATE, WKV, RETENTION_THREE_WAYS)
