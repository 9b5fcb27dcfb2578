"""Kimi Delta Attention: the delta rule, with a decay of its own for every key. Introduced in 03e_family_since.

    S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ,    y_t = q_t S_t    (S: d_k × d_v, α_t = e^{log_alpha_t})

`lecture17.reference.kda` batched, differentiable and fast. Source: Kimi Team, arXiv 2510.26692, Section 3. Arguments of
all functions:

    Q, K: (batch, time, heads, d_k)         queries and keys; the transition is a contraction for β_t |k_t|² in [0, 2]
    V: (batch, time, heads, d_v)            values; y has the same shape and type
    log_alpha: (batch, time, heads, d_k)    log decays, at most 0; -inf forgets everything under that key
    beta: (batch, time, heads)              how much is replaced: 0 nothing, 1 all (for unit keys), 2 a reflection
    state: (batch, heads, d_k, d_v)         before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state (log_alpha may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_alpha, a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run
raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence, delta_rule
from ._chunks import by_chunks, decayed_scores, to_chunks
from .cpu.blocks import from_chunks
from .cpu.kda import KDA
from .validation import check_backend, checked

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
PerToken = Float[Tensor, "batch time heads"]
State = Float[Tensor, "batch heads d_k d_v"]


def listing(
    Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, beta: Tensor, state: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """`chunkwise`, with the UT transform of all chunks at once. `ops/cpu/kda.py` is the fast form on a CPU."""
    tokens, length = V.shape[1], min(chunk_size, V.shape[1])
    q, k, v, log_w, beta = (to_chunks(x, length) for x in (Q, K, V, log_alpha, beta))  # (c, b, h, L, …)
    w, beta = log_w.exp(), beta[..., None]
    # Both the finds of k_t and the reads of q_t come after the decay of token t.
    M, decayed, keys, whole = decayed_scores(torch.stack([beta * k * w, q * w], -3), k[..., None, :, :], w)
    N, scores = M[..., 0, :].unbind(-3)
    finds, reads = decayed.unbind(-3)
    scores = scores + torch.diag_embed((q * k).sum(-1))  # a token reads its own key undecayed

    # Each token writes u_t = β_t (v_t - what k_t recalls), so (I + N) U = β ∘ V - finds S.
    right = torch.cat([beta * v, finds], -1)
    solved = torch.linalg.solve_triangular(N, right, upper=False, unitriangular=True)
    writes, recalls = solved.split([v.shape[-1], k.shape[-1]], -1)
    keys_at_end = keys[..., 0, :, :].mT
    y, S = [], state
    for i in range(len(q)):
        U = writes[i] - recalls[i] @ S
        y.append(reads[i] @ S + scores[i] @ U)
        S = whole[i][..., None] * S + keys_at_end[i] @ U
    return from_chunks(torch.stack(y))[:, :tokens], S


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, log_alpha: Keys, beta: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve: correct the values, then gated linear attention."""
    S = _recurrence.start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "log_alpha": log_alpha, "beta": beta}
    return by_chunks(listing, None, sequences, S, V, V.shape[1])


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_alpha: Keys, beta: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): after the decay, one step of gradient descent on |v_t - Sᵀ k_t|²/2 with step size β_t.

        S = diag(α_t) S_{t-1},    S_t = S + β_t k_t (v_t - Sᵀ k_t)ᵀ,    y_t = q_t S_t

    Source: arXiv 2510.26692, equation 1.
    """
    S = _recurrence.start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "log_alpha": log_alpha, "beta": beta}
    return _recurrence.by_tokens(_step, sequences, S, V)


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    log_alpha: Keys,
    beta: PerToken,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N); on a CPU in chunks of at most 32 tokens.

    Source: arXiv 2510.26692, Section 3.1.
    """
    S = _recurrence.start(state, K, V)
    check_backend(backend, V)
    sequences = {"Q": Q, "K": K, "V": V, "log_alpha": log_alpha, "beta": beta}
    return by_chunks(listing, KDA, sequences, S, V, chunk_size)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    log_alpha_t: Float[Tensor, "batch heads d_k"],
    beta_t: Float[Tensor, "batch heads"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "log_alpha_t": log_alpha_t, "beta_t": beta_t}
    return _recurrence.one_token(_step, token, _recurrence.start(state, k_t, v_t))


def _step(
    q_t: Tensor, k_t: Tensor, v_t: Tensor, log_alpha_t: Tensor, beta_t: Tensor, S: Tensor
) -> tuple[Tensor, Tensor]:
    q, k, v, log_alpha, beta = (z.to(S.dtype) for z in (q_t, k_t, v_t, log_alpha_t, beta_t))
    S = delta_rule._replace(k, v, beta, torch.exp(log_alpha)[..., None] * S)
    return torch.einsum("bhk,bhkd->bhd", q, S).to(v_t.dtype), S
