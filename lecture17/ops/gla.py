"""Gated linear attention: every key dimension has a decay of its own. Introduced in 01_tour and 03c_family.

    S_t = diag(α_t) S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t            (S: d_k × d_v, keys × values)

`lecture17.reference.gla` batched, differentiable and fast. Source: Yang et al., arXiv 2312.06635, Section 4. Arguments
of all functions:

    Q, K: (batch, time, heads, d_k)             queries and keys
    V: (batch, time, heads, d_v)                values; y has the same shape and type
    log_alpha: (batch, time, heads, d_k)        log gates, at most 0; -inf forgets everything under that key
    state: (batch, heads, d_k, d_v)             before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state (log_alpha may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_alpha, a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run
raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks, decayed_scores, to_chunks
from .cpu.blocks import from_chunks
from .cpu.gla import GLA
from .validation import check_backend, check_result, checked, checked_except
from .value_validation import check_values

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
State = Float[Tensor, "batch heads d_k d_v"]


def listing(
    Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, state: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """`chunkwise`, all chunks at once except for the states. `ops/cpu/gla.py` is the fast form on a CPU."""
    tokens, length = V.shape[1], min(chunk_size, V.shape[1])
    q, k, v, log_w = (to_chunks(x, length) for x in (Q, K, V, log_alpha))  # (c, b, h, L, d)
    w = log_w.exp()
    scores, reads, keys, whole = decayed_scores((q * w)[..., None, :, :], k[..., None, :, :], w)
    scores = scores[..., 0, :, 0, :] + torch.diag_embed((q * k).sum(-1))  # a token reads its own key undecayed
    added = keys[..., 0, :, :].mT @ v
    states = [state]
    for decay, more in zip(whole[..., None], added, strict=True):
        states.append(decay * states[-1] + more)
    y = scores @ v + reads[..., 0, :, :] @ torch.stack(states[:-1])
    return from_chunks(y)[:, :tokens], states[-1]


@checked
def parallel(Q: Keys, K: Keys, V: Values, log_alpha: Keys, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): build the masked matrix and multiply.

    y = M V + (Q ∘ decay since the start) S_0
    S_N = (K ∘ decay to the end)ᵀ V + diag(decay of the whole) S_0
    """
    S = _recurrence.start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "log_alpha": log_alpha}
    return by_chunks(listing, None, sequences, S, V, V.shape[1])


@checked
def recurrent(Q: Keys, K: Keys, V: Values, log_alpha: Keys, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = diag(α_t) S_{t-1} + k_t v_tᵀ, y_t = q_t S_t. Source: arXiv 2312.06635, Section 4.1."""
    S = _recurrence.start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "log_alpha": log_alpha}
    return _recurrence.by_tokens(_recurrence.step, sequences, S, V)


@checked_except(*GLA.LOOKS_AT)
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    log_alpha: Keys,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size). Source: arXiv 2312.06635, Section 4.2."""
    kernels = check_backend(backend, V, "gla")
    S = _recurrence.start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "log_alpha": log_alpha}
    if kernels is None:
        return by_chunks(listing, GLA, sequences, S, V, chunk_size)
    check_values(log_alpha=log_alpha)
    y, S = kernels.chunkwise(Q, K, V, log_alpha, S, chunk_size)
    return check_result(y, sequences), S


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    log_alpha_t: Float[Tensor, "batch heads d_k"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "log_alpha_t": log_alpha_t}
    return _recurrence.one_token(_recurrence.step, token, _recurrence.start(state, k_t, v_t))
