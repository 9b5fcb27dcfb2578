"""The delta rule, plain and gated: a token replaces what its key recalls. Introduced in 03c_family.

    S_t = a_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ,    y_t = q_t S_t    (S: d_k × d_v, a_t = e^{log_a_t})

`lecture17.reference.delta_rule` batched, differentiable and fast. Sources: Schlag et al., arXiv 2102.11174 (the rule);
Yang et al., arXiv 2406.06484, Section 3 (WY and UT); Yang et al., arXiv 2412.06464, Section 3 (gated). Arguments, all
functions alike:

    Q, K: (batch, time, heads, d_k)     queries and keys; the transition is a contraction for β_t |k_t|² in [0, 2]
    V: (batch, time, heads, d_v)        values; y has the same shape and type
    beta: (batch, time, heads)          how much is replaced: 0 nothing, 1 all (for unit keys), 2 a reflection
    log_a: (batch, time, heads)         log decays, at most 0, -inf allowed; None: no decay (the plain rule)
    state: (batch, heads, d_k, d_v)     before the first token, zero if not given; that after the last is returned

16-bit inputs are summed in float32, the type of their state (log_a may come in float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run raises
ValueError naming the argument.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._decays import segsum
from ._delta_chunks import LOWEST_SUM, CarryInPlace, Operands, causal, over_chunks, solve
from ._validation import (
    check_alike,
    check_backend,
    check_chunk_size,
    check_finite,
    check_log_decay,
    check_result,
    shapes_checked,
    state_dtype,
)

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
PerToken = Float[Tensor, "batch time heads"]
State = Float[Tensor, "batch heads d_k d_v"]


def _start(Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None, state: Tensor | None) -> Tensor:
    """Check all but that Q, K, V and beta are finite; returns the state before the first token."""
    check_alike(Q=Q, K=K, V=V, beta=beta, decays={"log_a": log_a}, state=state)
    check_log_decay(log_a=log_a)
    check_finite(state=state)
    if state is not None:
        return state
    return V.new_zeros(V.shape[0], V.shape[-2], K.shape[-1], V.shape[-1], dtype=state_dtype(V.dtype))


class _Divided:
    """Y, H, M, W, g of `_operands` where sums of log decays are small, in memory that all blocks of one shape share.

    M is the product of H = [β ∘ K; Q] decayed from the start and G = K divided by as much; W = g ∘ G.
    """

    def __init__(self, like: Tensor, shape: torch.Size, d_k: int, d_v: int) -> None:
        *batch, L = shape
        self.start, self.Y = like.new_empty(*batch, L, 1), like.new_empty(*batch, L, d_v)
        self.H, self.W = like.new_empty(*batch, 2 * L, d_k), like.new_empty(*batch, L, d_k)
        self.M, self.end = like.new_empty(*batch, 2 * L, L), self.start[..., -1:, :]
        self.finds, self.reads = self.H.chunk(2, -2)
        self.mask = causal(L, like)
        self.scores = self.H.flatten(0, 1), self.W.flatten(0, 1).mT, self.M.flatten(0, 1)
        self.operands = self.Y, self.H, self.M, self.W, self.end

    def __call__(self, Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None) -> bool:
        """Write them; False where decays are too strong for that."""
        sums = torch.zeros_like(beta) if log_a is None else log_a.cumsum(-1)
        if sums[..., -1].amin() < LOWEST_SUM:
            return False
        torch.exp(sums[..., None], out=self.start)
        beta = beta[..., None]
        self.W.copy_(K)
        torch.mul(self.W, beta * self.start, out=self.finds)
        torch.mul(Q, self.start, out=self.reads)
        torch.mul(V, -beta, out=self.Y)
        self.W.div_(self.start)
        H, W, M = self.scores
        torch.bmm(H, W, out=M)
        self.M.mul_(self.mask)
        self.W.mul_(self.end)
        return True


class _Divide(torch.autograd.Function):
    """The gradients of what a `_Divided` has written."""

    @staticmethod
    def forward(
        ctx: Any, divided: _Divided, Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None
    ) -> tuple[Tensor, ...]:
        Y, H, M, W, g = divided.operands
        ctx.save_for_backward(Q, K, V, beta, H, W, divided.start, divided.mask)
        return Y, H, M, W, g

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dY: Tensor, dH: Tensor, dM: Tensor, dW: Tensor, dg: Tensor) -> tuple[Tensor | None, ...]:
        """With c the sums of log decays from the start, of which H has e^c as a factor, G e^{-c} and g is the last."""
        Q, K, V, beta, H, W, start, mask = ctx.saved_tensors
        g, beta = start[..., -1:, :], beta[..., None]
        dM = dM * (mask / g)  # W = g ∘ G
        dH = torch.baddbmm(*(x.flatten(0, 1) for x in (dH, dM, W))).unflatten(0, g.shape[:2])
        dG = (dM.mT @ H).add_(dW).mul_(g)
        dH.unflatten(-2, (2, -1)).mul_(start[..., None, :, :])
        dfound, dQ = dH.chunk(2, -2)  # by β ∘ K and Q
        dk = dG / start  # by K in G
        by_beta = (dfound * K).sum(-1, keepdim=True)
        dc = beta * by_beta + (dQ * Q).sum(-1, keepdim=True) - (dk * K).sum(-1, keepdim=True)
        dc[..., -1:, :] += (dW * W).sum((-2, -1), keepdim=True).addcmul_(dg, g)
        dbeta = by_beta - (dY * V).sum(-1, keepdim=True)
        dlog_a = dc.flip(-2).cumsum(-2).flip(-2)[..., 0] if ctx.needs_input_grad[5] else None
        return None, dQ, dk.addcmul_(dfound, beta), -beta * dY, dbeta[..., 0], dlog_a


def _operands(Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None) -> Operands:
    """Y, V, H, M, W, g of `_delta_chunks`, for chunks (..., L, d_k). With decays from the start in front, a token
    finds β_t (k_tᵀ a_t S_{t-1} - v_t), and S_t = a_t S_{t-1} - k_t foundᵀ_t."""
    divided = _Divided(K, K.shape[:-1], K.shape[-1], V.shape[-1])
    with torch.no_grad():
        mild = divided(Q, K, V, beta, log_a)
    if mild or log_a is None:
        Y, H, M, W, g = _Divide.apply(divided, Q, K, V, beta, log_a)
        return Y, None, H, M, W, g
    start, beta = torch.exp(log_a.cumsum(-1))[..., None], beta[..., None]
    between = torch.exp(segsum(log_a))  # from j to i
    M = torch.cat([beta * K, Q], -2) @ K.mT * torch.cat([between, between], -2) * causal(K.shape[-2], K)
    H = torch.cat([beta * start * K, start * Q], -2)
    return -beta * V, None, H, M, K * between[..., -1, :, None], start[..., -1:, :]


class _InPlace:
    """`_operands` and `carry` without gradients."""

    def __init__(self, S: Tensor, shape: torch.Size) -> None:
        self.divided = _Divided(S, shape, *S.shape[-2:])
        Y, H, M, W, g = self.divided.operands
        self.carry = CarryInPlace((Y, None, H, M, W, g))

    def __call__(
        self, Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None, S: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        return self.carry(S) if self.divided(Q, K, V, beta, log_a) else None


@shapes_checked
def parallel(
    Q: Keys, K: Keys, V: Values, beta: PerToken, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve. Source: arXiv 2406.06484, Section 3."""
    S = _start(Q, K, V, beta, log_a, state)
    if V.shape[1] == 0:
        return V.clone(), S
    q, k, v, b = (s.transpose(1, 2).to(S.dtype) for s in (Q, K, V, beta))
    y, S = solve(_operands(q, k, v, b, None if log_a is None else log_a.transpose(1, 2).to(S.dtype)), S)
    y = y.transpose(1, 2).to(V.dtype)
    check_result(y, Q=Q, K=K, V=V, beta=beta)
    return y, S


@shapes_checked
def recurrent(
    Q: Keys, K: Keys, V: Values, beta: PerToken, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): after the decay, one step of gradient descent on |v_t - Sᵀ k_t|²/2 with step size β_t.

        S = a_t S_{t-1},    S_t = S + β_t k_t (v_t - Sᵀ k_t)ᵀ,    y_t = q_t S_t

    Source: arXiv 2102.11174, Section 4; gated: arXiv 2412.06464, Section 3.
    """
    S = _start(Q, K, V, beta, log_a, state)
    y = []
    for t in range(V.shape[1]):
        y_t, S = _step(Q[:, t], K[:, t], V[:, t], beta[:, t], None if log_a is None else log_a[:, t], S)
        y.append(y_t)
    result = torch.stack(y, 1) if y else V.clone()
    check_result(result, Q=Q, K=K, V=V, beta=beta)
    return result, S


@shapes_checked
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
    """One triangular solve per chunk, recurrent between chunks, O(N); chunks above SUB_CHUNK tokens are cut further.

    Source: arXiv 2406.06484, Section 3.
    """
    S = _start(Q, K, V, beta, log_a, state)
    check_chunk_size(chunk_size)
    check_backend(backend, V)
    y, S = over_chunks(_operands, _InPlace, chunk_size, (Q, K, V, beta, log_a), S, V)
    check_result(y, Q=Q, K=K, V=V, beta=beta)
    return y, S


@shapes_checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    beta_t: Float[Tensor, "batch heads"],
    log_a_t: Float[Tensor, "batch heads"] | None = None,
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y_t, S = _step(q_t, k_t, v_t, beta_t, log_a_t, _start(q_t, k_t, v_t, beta_t, log_a_t, state))
    check_result(y_t, q_t=q_t, k_t=k_t, v_t=v_t, beta_t=beta_t)
    return y_t, S


def _step(
    q_t: Tensor, k_t: Tensor, v_t: Tensor, beta_t: Tensor, log_a_t: Tensor | None, S: Tensor
) -> tuple[Tensor, Tensor]:
    q, k, v, beta = (z.to(S.dtype) for z in (q_t, k_t, v_t, beta_t))
    if log_a_t is not None:
        S = torch.exp(log_a_t.to(S.dtype))[..., None, None] * S
    corrected = beta[..., None] * (v - torch.einsum("bhk,bhkd->bhd", k, S))
    S = S + k[..., :, None] * corrected[..., None, :]
    return torch.einsum("bhk,bhkd->bhd", q, S).to(v_t.dtype), S
