"""The delta rule, plain and gated: a token replaces what its key recalls. Introduced in 03c_memory.

    S_t = a_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ,    y_t = q_t S_t    (S: d_k × d_v, a_t = e^{log_a_t})

`lecture17.reference.delta_rule` batched, differentiable and fast. Sources: Schlag et al., arXiv 2102.11174 (the rule);
Yang et al., arXiv 2406.06484, Section 3 (WY and UT); Yang et al., arXiv 2412.06464, Section 3 (gated). Arguments of all
functions:

    Q, K: (batch, time, heads, d_k)     queries and keys; the transition is a contraction for β_t |k_t|² in [0, 2]
    V: (batch, time, heads, d_v)        values; y has the same shape and type
    beta: (batch, time, heads)          how much is replaced: 0 nothing, 1 all (for unit keys), 2 a reflection
    log_a: (batch, time, heads)         log decays, at most 0, -inf allowed; None: no decay (the plain rule)
    state: (batch, heads, d_k, d_v)     before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state (log_a may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run raises
ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks, segsum, to_chunks
from .cpu.blocks import from_chunks
from .cpu.delta_rule import DeltaRule
from .validation import check_backend, checked

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
PerToken = Float[Tensor, "batch time heads"]
State = Float[Tensor, "batch heads d_k d_v"]


def listing(
    Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None, state: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """`chunkwise`, with the UT transform of all chunks at once. `ops/cpu/delta_rule.py` is the fast form on a CPU."""
    tokens, length = V.shape[1], min(chunk_size, V.shape[1])
    log_a = torch.zeros_like(beta) if log_a is None else log_a
    Q, K, V, beta, log_a = (to_chunks(x, length) for x in (Q, K, V, beta, log_a))  # (c, b, h, L, …)
    decay = segsum(log_a).exp()  # from token j to token i
    from_start, to_end, beta = log_a.cumsum(-1).exp()[..., None], decay[..., -1, :, None], beta[..., None]

    # Each token writes u_t = β_t (v_t - what k_t recalls), so (I + N) U = β ∘ (V - (K decayed) S).
    N = beta * (K @ K.mT * decay).tril(-1)
    right = torch.cat([beta * V, beta * from_start * K], -1)
    solved = torch.linalg.solve_triangular(N, right, upper=False, unitriangular=True)
    writes, recalls = solved.split([V.shape[-1], K.shape[-1]], -1)
    scores, reads, keys, whole = Q @ K.mT * decay, from_start * Q, to_end * K, from_start[..., -1:, :]
    y, S = [], state
    for i in range(len(Q)):
        U = writes[i] - recalls[i] @ S
        y.append(reads[i] @ S + scores[i] @ U)
        S = whole[i] * S + keys[i].mT @ U
    return from_chunks(torch.stack(y))[:, :tokens], S


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, beta: PerToken, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve. Source: arXiv 2406.06484, Section 3."""
    S = _recurrence.start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "beta": beta, "log_a": log_a}
    return by_chunks(listing, None, sequences, S, V, V.shape[1])


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, beta: PerToken, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): after the decay, one step of gradient descent on |v_t - Sᵀ k_t|²/2 with step size β_t.

        S = a_t S_{t-1},    S_t = S + β_t k_t (v_t - Sᵀ k_t)ᵀ,    y_t = q_t S_t

    Source: arXiv 2102.11174, Section 4; gated: arXiv 2412.06464, Section 3.
    """
    S = _recurrence.start(state, K, V)
    return _recurrence.by_tokens(_step, {"Q": Q, "K": K, "V": V, "beta": beta, "log_a": log_a}, S, V)


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    beta: PerToken,
    log_a: PerToken | None = None,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N); on a CPU in chunks of at most 32 tokens.

    Source: arXiv 2406.06484, Section 3.
    """
    S = _recurrence.start(state, K, V)
    check_backend(backend, V)
    sequences = {"Q": Q, "K": K, "V": V, "beta": beta, "log_a": log_a}
    return by_chunks(listing, DeltaRule, sequences, S, V, chunk_size)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    beta_t: Float[Tensor, "batch heads"],
    log_a_t: Float[Tensor, "batch heads"] | None = None,
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "beta_t": beta_t, "log_a_t": log_a_t}
    return _recurrence.one_token(_step, token, _recurrence.start(state, k_t, v_t))


def _step(
    q_t: Tensor, k_t: Tensor, v_t: Tensor, beta_t: Tensor, log_a_t: Tensor | None, S: Tensor
) -> tuple[Tensor, Tensor]:
    q, k, v, beta = (z.to(S.dtype) for z in (q_t, k_t, v_t, beta_t))
    if log_a_t is not None:
        S = torch.exp(log_a_t.to(S.dtype))[..., None, None] * S
    S = _replace(k, v, beta, S)
    return torch.einsum("bhk,bhkd->bhd", q, S).to(v_t.dtype), S


def _replace(k: Tensor, v: Tensor, beta: Tensor, S: Tensor) -> Tensor:
    """S + β k (v - Sᵀ k)ᵀ: the state once β of what k recalls is replaced by v."""
    corrected = beta[..., None] * (v - torch.einsum("bhk,bhkd->bhd", k, S))
    return S + k[..., :, None] * corrected[..., None, :]
