"""Gated linear attention: every key dimension has a decay of its own. Introduced in 01_tour and 03c_family.

    S_t = diag(α_t) S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t            (S: d_k × d_v, keys × values)

`lecture17.reference.gla` batched, differentiable and fast. Source: Yang et al., arXiv 2312.06635, Section 4. Arguments,
all functions alike:

    Q, K: (batch, time, heads, d_k)             queries and keys
    V: (batch, time, heads, d_v)                values; y has the same shape and type
    log_alpha: (batch, time, heads, d_k)        log gates, at most 0; -inf forgets everything under that key
    state: (batch, heads, d_k, d_v)             before the first token, zero if not given; returned after the last

16-bit inputs are summed in float32, the type of their state (log_alpha may come in float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_alpha, a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run
raises ValueError naming the argument.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import _recurrence
from ._blocks import over_blocks, rows_and_chunks
from ._decays import decayed_scores
from ._validation import (
    check_alike,
    check_backend,
    check_chunk_size,
    check_finite,
    check_log_decay,
    check_result,
    shapes_checked,
)

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
State = Float[Tensor, "batch heads d_k d_v"]

# Tokens in a chunk at most: so few that their gates seldom leave the range of floats.
SUB_CHUNK = 32

# Sums of log₂ gates up to which 2^{±sum} is computed: far from overflow, and the rounding of the sum is below 1e-6.
LARGEST_SUM = 30.0


def _start(Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, state: Tensor | None) -> Tensor:
    """Check all but that Q, K and V are finite; returns the state before the first token."""
    check_alike(Q=Q, K=K, V=V, decays={"log_alpha": log_alpha}, state=state)
    check_log_decay(log_alpha=log_alpha)
    check_finite(state=state)
    return _recurrence.start(state, K, V)


def _operands(Q: Tensor, K: Tensor, log_alpha: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of chunks (..., L, d_k): scores, queries decayed from the start, keys decayed to the end, the whole decay.

    With c the sums of log₂ gates from the middle of the chunk, the scores are one product of 2^c ∘ Q and 2^{-c} ∘ K
    where both factors are far from overflow, and otherwise come from `decayed_scores`.
    """
    L = Q.shape[-2]
    low = torch.ones(L, L, dtype=Q.dtype, device=Q.device).tril() / math.log(2)
    c = (low - low[L // 2]) @ log_alpha  # NaN where a gate is 0
    ends = c.detach()[..., :: max(1, L - 1), :]  # the largest and the smallest
    if ends.abs().amax() <= LARGEST_SUM:
        decay = c.exp2()
        q, k = decay * Q, decay.reciprocal() * K
        start, end = log_alpha[..., : L // 2 + 1, :].sum(-2, keepdim=True).exp(), decay[..., -1:, :]
        return (q @ k.mT).tril_(), q * start, k * end, (start * end).mT
    w = log_alpha.exp()
    P, q, k, whole = decayed_scores((Q * w)[..., None, :, :], K[..., None, :, :], w)
    P = P[..., 0, :, 0, :] + torch.diag_embed((Q * K).sum(-1))
    return P, q[..., 0, :, :], k[..., 0, :, :], whole[..., None]


class _States(torch.autograd.Function):
    """From keys and values, (chunks, b·h, L, d), to the states before each chunk and after the last."""

    @staticmethod
    def forward(ctx: Any, k: Tensor, v: Tensor, whole: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        states = S.new_empty(len(k) + 1, *S.shape)
        states[0] = S
        torch.bmm(k.flatten(0, 1).mT, v.flatten(0, 1), out=states[1:].flatten(0, 1))
        for before, after, decay in zip(states[:-1], states[1:], whole, strict=True):
            after.addcmul_(decay, before)
        ctx.save_for_backward(k, v, whole, states)
        return states[:-1], states[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dbefore: Tensor, dlast: Tensor) -> tuple[Tensor, ...]:
        k, v, whole, states = ctx.saved_tensors
        dstates = torch.cat([dbefore, dlast[None]])
        for before, after, decay in reversed(list(zip(dstates[:-1], dstates[1:], whole, strict=True))):
            before.addcmul_(decay, after)
        dafter = dstates[1:]
        return v @ dafter.mT, k @ dafter, (dafter * states[:-1]).sum(-1, keepdim=True), dstates[0]


@shapes_checked
def parallel(Q: Keys, K: Keys, V: Values, log_alpha: Keys, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): build the masked matrix and multiply.

    y = M V + (Q ∘ decay since the start) S_0
    S_N = (K ∘ decay to the end)ᵀ V + diag(decay of the whole) S_0
    """
    S = _start(Q, K, V, log_alpha, state)
    if V.shape[1] == 0:
        return V.clone(), S
    q, k, v, log_w = (x.transpose(1, 2).to(S.dtype) for x in (Q, K, V, log_alpha))
    P, q, k, whole = _operands(q, k, log_w)
    y, S = (P @ v + q @ S).transpose(1, 2).to(V.dtype), whole * S + k.mT @ v
    check_result(y, Q=Q, K=K, V=V)
    return y, S


@shapes_checked
def recurrent(Q: Keys, K: Keys, V: Values, log_alpha: Keys, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = diag(α_t) S_{t-1} + k_t v_tᵀ, y_t = q_t S_t. Source: arXiv 2312.06635, Section 4.1."""
    S = _start(Q, K, V, log_alpha, state)
    y, S = _recurrence.recurrent(Q, K, V, log_alpha, S)
    check_result(y, Q=Q, K=K, V=V)
    return y, S


@shapes_checked
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
    check_chunk_size(chunk_size)
    kernels = check_backend(backend, V, "gla")
    S = _start(Q, K, V, log_alpha, state)
    if kernels:
        y, S = kernels.chunkwise(Q, K, V, log_alpha, S, chunk_size)
        check_result(y, Q=Q, K=K, V=V)
        return y, S
    length = min(chunk_size, SUB_CHUNK, max(V.shape[1], 1))

    def block(q: Tensor, k: Tensor, v: Tensor, log_w: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        v = v.contiguous()
        P, q, k, whole = _operands(q, k, log_w.contiguous())
        before, after = _States.apply(k, v, whole, S.flatten(0, 1))
        y = torch.baddbmm((P @ v).flatten(0, 1), q.flatten(0, 1), before.flatten(0, 1)).view_as(v)
        return y, after.view_as(S)

    rows, chunks = rows_and_chunks(len(S), S.shape[1] * length * max(length, *S.shape[2:]))
    y, S = over_blocks(block, rows, chunks * length, (Q, K, V, log_alpha), (), S, V, length)
    check_result(y, Q=Q, K=K, V=V)
    return y, S


@shapes_checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    log_alpha_t: Float[Tensor, "batch heads d_k"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y_t, S = _recurrence.step(q_t, k_t, v_t, log_alpha_t, _start(q_t, k_t, v_t, log_alpha_t, state))
    check_result(y_t, q_t=q_t, k_t=k_t, v_t=v_t)
    return y_t, S
