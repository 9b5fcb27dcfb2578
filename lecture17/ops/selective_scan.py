"""The selective scan (Mamba-1's core): every channel and state has a decay of its own. Introduced in 03c_family.

Per channel c, with a state h of d_state numbers:

    h_t = e^{δ_tc A_c} ∘ h_{t-1} + δ_tc B_t x_tc,    y_tc = C_t·h_t

`lecture17.reference.selective_scan` batched, differentiable and fast; all channels share B and C, and there are no
heads. Source: Gu and Dao, arXiv 2312.00752, Section 3.2, with B discretised by Euler's rule as in the published code.
Arguments, all functions alike:

    x: (batch, time, d)             what goes in; y has the same shape and type
    delta: (batch, time, d)         step size of each token and channel, at least 0
    A: (d, d_state)                 rates, at most 0
    B, C: (batch, time, d_state)    how a token writes to the state, and how it reads from it
    state: (batch, d_state, d)      before the first token, zero if not given; that after the last is returned

16-bit inputs are summed in float32, the type of their state (delta and A may come in float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive A, a
negative delta, a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run
raises ValueError naming the argument.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from ._blocks import over_blocks, rows_and_chunks
from ._decays import segsum
from ._validation import (
    check_alike,
    check_backend,
    check_chunk_size,
    check_finite,
    check_within,
    shapes_checked,
    state_dtype,
)

Channels = Float[Tensor, "batch time d"]
Rates = Float[Tensor, "d d_state"]
Keys = Float[Tensor, "batch time d_state"]
State = Float[Tensor, "batch d_state d"]

Channel = Float[Tensor, "batch d"]
Key = Float[Tensor, "batch d_state"]


def _start(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None) -> Tensor:
    """The state before the first token, once all arguments are checked."""
    check_alike(x=x, B=B, C=C, decays={"delta": delta, "A": A}, state=state)
    check_finite(x=x, delta=delta, A=A, B=B, C=C, state=state)
    check_within(0, torch.inf, delta=delta)
    check_within(-torch.inf, 0, A=A)
    return x.new_zeros(len(x), B.shape[-1], x.shape[-1], dtype=state_dtype(x.dtype)) if state is None else state


@shapes_checked
def parallel(
    x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys, state: State | None = None
) -> tuple[Channels, State]:
    """The attention view, O(N²) with one matrix per channel, and so for short sequences only.

    M[c, i, j] = Σ_s C_is e^{A_cs (δ_{j+1,c} + … + δ_ic)} δ_jc B_js    for i ≥ j,   0 above
    """
    h = _start(x, delta, A, B, C, state)
    if x.shape[1] == 0:
        return x.clone(), h
    B, C, A, delta = (z.to(h.dtype) for z in (B, C, A, delta))
    written = delta * x
    log_a = torch.einsum("btc,cs->bcst", delta, A)
    decay = torch.exp(segsum(log_a))  # (b, d, d_state, N, N)
    M = torch.einsum("bis,bcsij,bjs->bcij", C, decay, B)
    from_start = torch.exp(log_a.cumsum(-1))
    y = torch.einsum("bcij,bjc->bic", M, written) + torch.einsum("bis,bcsi,bsc->bic", C, from_start, h)
    h = from_start[..., -1].mT * h + torch.einsum("bcsj,bjs,bjc->bsc", decay[..., -1, :], B, written)
    return y.to(x.dtype), h


@shapes_checked
def recurrent(
    x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys, state: State | None = None
) -> tuple[Channels, State]:
    """The SSM view, O(N): h_t = e^{δ_tc A_c} ∘ h_{t-1} + δ_tc B_t x_tc, y_tc = C_t·h_t, all channels at once.

    Source: arXiv 2312.00752, Algorithm 2.
    """
    h = _start(x, delta, A, B, C, state)
    y = []
    for t in range(x.shape[1]):
        y_t, h = _step(x[:, t], delta[:, t], A, B[:, t], C[:, t], h)
        y.append(y_t)
    return (torch.stack(y, 1) if y else x.clone()), h


@shapes_checked
def chunkwise(
    x: Channels,
    delta: Channels,
    A: Rates,
    B: Keys,
    C: Keys,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Channels, State]:
    """Chunk after chunk, all states inside a chunk by a two-level scan: O(N·d·d_state), but no matrix product."""
    h = _start(x, delta, A, B, C, state)
    check_chunk_size(chunk_size)
    check_backend(backend, x)
    rows, _ = rows_and_chunks(len(x), min(chunk_size, max(x.shape[1], 1)) * h[0].numel())
    return over_blocks(_chunk, rows, chunk_size, (x, delta, B, C), (A,), h, x)


@shapes_checked
def step(
    x_t: Channel, delta_t: Channel, A: Rates, B_t: Key, C_t: Key, state: State | None = None
) -> tuple[Channel, State]:
    """One token of `recurrent`; returns (y_t, state)."""
    return _step(x_t, delta_t, A, B_t, C_t, _start(x_t, delta_t, A, B_t, C_t, state))


def _step(x_t: Tensor, delta_t: Tensor, A: Tensor, B_t: Tensor, C_t: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    x, delta, A, B, C = (z.to(h.dtype) for z in (x_t, delta_t, A, B_t, C_t))
    h = torch.exp(delta[:, None, :] * A.mT) * h + B[:, :, None] * (delta * x)[:, None, :]
    return torch.einsum("bs,bsc->bc", C, h).to(x_t.dtype), h


def _chunk(x: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    x, delta, B, C, A = (z.to(h.dtype) for z in (x, delta, B, C, A))
    return _Chunk.apply(delta, delta * x, A, B, C, h)


class _Chunk(torch.autograd.Function):
    """One chunk, its backward pass written out: the gradient goes through the states by a scan the other way."""

    @staticmethod
    def forward(
        ctx: Any, delta: Tensor, written: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        decay = torch.exp(delta[:, :, None, :] * A.mT)  # (b, T, d_state, d)
        states = B[..., None] * written[:, :, None, :]
        states[:, 0].addcmul_(decay[:, 0], h)
        if any(ctx.needs_input_grad):
            states = _scan(decay.clone(), states)
            ctx.save_for_backward(delta, written, A, B, C, h, decay, states)
        else:
            states = _scan(decay, states)
        return (C[:, :, None, :] @ states).squeeze(2), states[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dh: Tensor) -> tuple[Tensor, ...]:
        delta, written, A, B, C, h, decay, states = ctx.saved_tensors
        dstates = C[..., None] * dy[:, :, None, :]
        dstates[:, -1] += dh
        decayed = decay * dstates
        before = _scan(decay, decayed, backwards=True)  # by the state in front of each token; nobody needs decay again
        dstates[:, :-1] += before[:, 1:]
        dh = before[:, 0].clone()
        dexponent = before  # of the decay, which that state is multiplied by
        dexponent[:, 1:] *= states[:, :-1]
        dexponent[:, 0] *= h
        # Sums are rows of ones times matrices, which is many times quicker here than .sum(2) and .sum((0, 1)).
        by_delta = A.new_ones(1, A.shape[1]) @ torch.mul(dexponent, A.mT, out=decay)
        by_A = A.new_ones(1, delta[..., 0].numel()) @ dexponent.mul_(delta[:, :, None, :]).flatten(2).flatten(0, 1)
        return (
            by_delta.squeeze(2),
            (B[:, :, None, :] @ dstates).squeeze(2),
            by_A.view_as(A.mT).mT,
            (written[:, :, None, :] @ dstates.mT).squeeze(2),
            (dy[:, :, None, :] @ states.mT).squeeze(2),
            dh,
        )


def _scan(a: Tensor, b: Tensor, backwards: bool = False) -> Tensor:
    """h_t = a_t h_{t-1} + b_t from zero, along axis 1; backwards h_t = a_t h_{t+1} + b_t. Overwrites a and b.

    About √T pieces of √T tokens: first the scans of all pieces side by side, token after token, then from piece to
    piece what the pieces before it left. Three passes over the numbers in 3√T steps.
    """
    T = a.shape[1]
    length = math.isqrt(max(T - 1, 0)) + 1
    if T % length:
        missing = (*(0, 0) * (a.dim() - 2), 0, -T % length)
        a, b = pad(a, missing), pad(b, missing)
    a, b = a.unflatten(1, (-1, length)), b.unflatten(1, (-1, length))
    pieces = b.shape[1]
    last, step = (0, 1) if backwards else (length - 1, -1)
    for t in range(length - 2, -1, -1) if backwards else range(1, length):
        b[:, :, t].addcmul_(a[:, :, t], b[:, :, t + step])
        a[:, :, t].mul_(a[:, :, t + step])
    for i in range(pieces - 2, -1, -1) if backwards else range(1, pieces):
        b[:, i].addcmul_(a[:, i], b[:, i + step, last, None])
    return b.flatten(1, 2)[:, :T]
