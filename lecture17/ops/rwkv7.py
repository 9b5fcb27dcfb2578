"""RWKV-7's generalised delta rule: vector decay, and removal along one direction. Introduced in 01_tour and 03c_family.

    S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ,    y_t = r_t S_t    (S: d_k × d_v, keys × values)

`lecture17.reference.rwkv7` batched, differentiable and fast; the removal reads the state before this token's decay.
Source: Peng et al., arXiv 2503.14456, Sections 3 and 4. Arguments, all functions alike, in the order r, log_w, k, v,
kappa, a:

    r, k: (batch, time, heads, d_k)     receptance (the query) and key
    log_w: (batch, time, heads, d_k)    log of the decay, at most 0; -inf forgets everything under that key
    v: (batch, time, heads, d_v)        values; y has the same shape and type
    kappa: (batch, time, heads, d_k)    removal direction κ̂ of each token, of length 1 (or 0: remove nothing)
    a: (batch, time, heads, d_k)        in-context learning rate, how much is removed per key
    state: (batch, heads, d_k, d_v)     before the first token, zero if not given; that after the last is returned

16-bit inputs are summed in float32, the type of their state (log_w may come in float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_w, a kappa of another length, a number that is not finite, types or devices that differ, chunk_size < 1, or a
backend that cannot run raises ValueError naming the argument.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._decays import decayed_scores, doublings
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
State = Float[Tensor, "batch heads d_k d_v"]


def _start(r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor, state: Tensor | None) -> Tensor:
    """Check all but that r, k, v, kappa and a are finite; returns the state before the first token."""
    check_alike(r=r, k=k, v=v, kappa=kappa, a=a, decays={"log_w": log_w}, state=state)
    check_log_decay(log_w=log_w)
    check_finite(state=state)
    _check_unit(kappa)
    if state is not None:
        return state
    return v.new_zeros(v.shape[0], v.shape[-2], k.shape[-1], v.shape[-1], dtype=state_dtype(v.dtype))


def _check_unit(kappa: Tensor) -> None:
    length = torch.linalg.vector_norm(kappa.detach(), dim=-1, dtype=state_dtype(kappa.dtype))
    wrong = (length != 0) & ((length - 1).abs() > (1e-4 if kappa.dtype.itemsize > 2 else 1e-2))
    if wrong.any():
        check_finite(kappa=kappa)
        raise ValueError(
            f"kappa{wrong.nonzero()[0].tolist()} has length {length[wrong][0].item():.6g}: "
            "expected length 1 (or 0); divide each key by its norm"
        )


class _Divided:
    """H, M, W, g of `_operands` where the sums of log decays are small, in memory that all blocks of one shape share.

    M is the product of H = [κ̂; r] decayed from the start and G = [a ∘ κ̂; k] divided by as much; W = g ∘ G.
    """

    def __init__(self, like: Tensor, shape: torch.Size, d_k: int) -> None:
        *batch, L = shape
        # Heads after time, as what comes in lies in memory.
        self.decay, self.growth = like.new_empty(2, *batch[:-1], L, batch[-1], d_k).transpose(-2, -3)
        self.doublings = doublings(self.decay)
        self.earlier, self.whole = self.decay[..., :-1, :], self.decay[..., -1:, :]
        self.H, self.W = like.new_empty(2, *batch, 2 * L, d_k)
        self.first, self.later, self.reads = self.H.split((1, L - 1, L), -2)
        self.removals, self.writes = self.W.chunk(2, -2)
        self.M, self.mask = like.new_empty(*batch, 2 * L, 2 * L), causal(L, like).repeat(1, 2)
        self.scores = self.H.flatten(0, 1), self.W.flatten(0, 1).mT, self.M.flatten(0, 1)
        self.operands = self.H, self.M, self.W, self.whole.mT

    def __call__(self, r: Tensor, log_w: Tensor, k: Tensor, kappa: Tensor, a: Tensor) -> bool:
        """Write them; False where decays are too strong for that."""
        torch.exp(log_w, out=self.decay)
        for second, end_of_first in self.doublings:
            second.mul_(end_of_first)
        if self.whole.amin() < math.exp(LOWEST_SUM):
            return False
        torch.reciprocal(self.decay, out=self.growth)
        self.first.copy_(kappa[..., :1, :])
        torch.mul(self.earlier, kappa[..., 1:, :], out=self.later)
        torch.mul(self.decay, r, out=self.reads)
        torch.mul(self.growth, a, out=self.removals).mul_(kappa)
        torch.mul(self.growth, k, out=self.writes)
        H, W, M = self.scores
        torch.bmm(H, W, out=M)
        self.M.mul_(self.mask)
        self.W.mul_(self.whole)
        return True


class _Divide(torch.autograd.Function):
    """The gradients of what a `_Divided` has written."""

    @staticmethod
    def forward(
        ctx: Any, divided: _Divided, r: Tensor, log_w: Tensor, k: Tensor, kappa: Tensor, a: Tensor
    ) -> tuple[Tensor, ...]:
        H, M, W, g = divided.operands
        ctx.save_for_backward(r, k, kappa, a, H, W, divided.decay, divided.growth, divided.mask)
        return H, M, W, g

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dM: Tensor, dW: Tensor, dg: Tensor) -> tuple[Tensor | None, ...]:
        """With c the sums of log decays from the start, of which H has e^c as a factor, G e^{-c} and g is the last."""
        r, k, kappa, a, H, W, decay, growth, mask = ctx.saved_tensors
        L, g = r.shape[-2], decay[..., -1:, :]
        dM = dM * mask
        dH = torch.addcmul(dH, dM @ W, growth[..., -1:, :])  # W = g ∘ G
        dG = torch.addcmul(dM.mT @ H, dW, g)
        dG.unflatten(-2, (2, L)).mul_(growth[..., None, :, :])
        dremoved, dk = dG.chunk(2, -2)
        dfound, dread = dH.chunk(2, -2)
        dlater = dfound[..., 1:, :] * decay[..., :-1, :]
        dr, da, dkappa = dread * decay, dremoved * kappa, dremoved * a
        dkappa[..., :1, :] += dfound[..., :1, :]
        dkappa[..., 1:, :] += dlater
        dc = (dr * r).addcmul_(dk, k, value=-1).addcmul_(da, a, value=-1)
        dc[..., :-1, :].addcmul_(dlater, kappa[..., 1:, :])
        dc[..., -1:, :] += (dW * W).sum(-2, keepdim=True).addcmul_(dg.mT, g)
        return None, dr, dc.new_ones(L, L).triu() @ dc, dk, dkappa, da


def _operands(r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor) -> Operands:
    """Y, V, H, M, W, g of `_delta_chunks` for chunks (..., L, d_k): a token finds S_{t-1}ᵀ κ̂_t.

    M holds the scores of [κ̂; r] against [a ∘ κ̂; k] under the decays in between.
    """
    divided = _Divided(r, r.shape[:-1], r.shape[-1])
    with torch.no_grad():
        mild = divided(r, log_w, k, kappa, a)
    if mild:
        H, M, W, g = _Divide.apply(divided, r, log_w, k, kappa, a)
        return None, v.contiguous(), H, M, W, g
    w = torch.exp(log_w)
    keys = torch.stack([a * kappa, k], -3)
    M, H, W, g = decayed_scores(torch.stack([kappa, r * w], -3), keys, w)
    own = torch.diag_embed((r[..., None, :, :] * keys).sum(-1)).transpose(-3, -2)  # r_t meets its own keys
    M = M + torch.stack([torch.zeros_like(own), own], -4)
    M, H, W = M.flatten(-4, -3).flatten(-2), H.flatten(-3, -2), W.flatten(-3, -2)
    return None, v.contiguous(), H, M, W, g[..., None]


class _InPlace:
    """`_operands` and `carry` without gradients."""

    def __init__(self, S: Tensor, shape: torch.Size) -> None:
        d_k, d_v = S.shape[-2:]
        self.divided, self.v = _Divided(S, shape, d_k), S.new_empty(*shape, d_v)
        H, M, W, g = self.divided.operands
        self.carry = CarryInPlace((None, self.v, H, M, W, g))

    def __call__(
        self, r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor, S: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        if not self.divided(r, log_w, k, kappa, a):
            return None
        self.v.copy_(v)
        return self.carry(S)


@shapes_checked
def parallel(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve: find what is removed, then read both writes."""
    S = _start(r, log_w, k, v, kappa, a, state)
    if v.shape[1] == 0:
        return v.clone(), S
    operands = (s.transpose(1, 2).to(S.dtype) for s in (r, log_w, k, v, kappa, a))
    y, S = solve(_operands(*operands), S)
    y = y.transpose(1, 2).to(v.dtype)
    check_result(y, r=r, k=k, v=v, kappa=kappa, a=a)
    return y, S


@shapes_checked
def recurrent(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ, y_t = r_t S_t."""
    S = _start(r, log_w, k, v, kappa, a, state)
    y = []
    for t in range(v.shape[1]):
        y_t, S = _step(r[:, t], log_w[:, t], k[:, t], v[:, t], kappa[:, t], a[:, t], S)
        y.append(y_t)
    result = torch.stack(y, 1) if y else v.clone()
    check_result(result, r=r, k=k, v=v, kappa=kappa, a=a)
    return result, S


@shapes_checked
def chunkwise(
    r: Keys,
    log_w: Keys,
    k: Keys,
    v: Values,
    kappa: Keys,
    a: Keys,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N); chunks above SUB_CHUNK tokens are cut further."""
    S = _start(r, log_w, k, v, kappa, a, state)
    check_chunk_size(chunk_size)
    kernels = check_backend(backend, v, "rwkv7")
    if kernels:
        return kernels.chunkwise(r, log_w, k, v, kappa, a, S, chunk_size)
    y, S = over_chunks(_operands, _InPlace, chunk_size, (r, log_w, k, v, kappa, a), S, v)
    check_result(y, r=r, k=k, v=v, kappa=kappa, a=a)
    return y, S


@shapes_checked
def step(
    r_t: Float[Tensor, "batch heads d_k"],
    log_w_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    kappa_t: Float[Tensor, "batch heads d_k"],
    a_t: Float[Tensor, "batch heads d_k"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    y_t, S = _step(r_t, log_w_t, k_t, v_t, kappa_t, a_t, _start(r_t, log_w_t, k_t, v_t, kappa_t, a_t, state))
    check_result(y_t, r_t=r_t, k_t=k_t, v_t=v_t, kappa_t=kappa_t, a_t=a_t)
    return y_t, S


def _step(
    r_t: Tensor, log_w_t: Tensor, k_t: Tensor, v_t: Tensor, kappa_t: Tensor, a_t: Tensor, S: Tensor
) -> tuple[Tensor, Tensor]:
    r, log_w, k, v, kappa, a = (z.to(S.dtype) for z in (r_t, log_w_t, k_t, v_t, kappa_t, a_t))
    found = torch.einsum("bhk,bhkd->bhd", kappa, S)
    S = (
        torch.exp(log_w)[..., None] * S
        - (a * kappa)[..., :, None] * found[..., None, :]
        + k[..., :, None] * v[..., None, :]
    )
    return torch.einsum("bhk,bhkd->bhd", r, S).to(v_t.dtype), S
