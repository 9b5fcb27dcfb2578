"""The selective scan (Mamba-1's core): every channel and state entry decays by itself. Introduced in 03c_family.

Per channel c, with a state h of d_state numbers:

    h_t = e^{δ_tc A_c} ∘ h_{t-1} + δ_tc B_t x_tc,    y_tc = C_t·h_t

`lecture17.reference.selective_scan` batched, differentiable and fast; all channels share B and C, and there are no
heads. Source: Gu and Dao, arXiv 2312.00752, Section 3.2, with B discretized by Euler's rule as in the published code.
Arguments of all functions:

    x: (batch, time, d)             the input; y has the same shape and type
    delta: (batch, time, d)         step size of each token and channel, at least 0
    A: (d, d_state)                 rates, at most 0
    B, C: (batch, time, d_state)    how a token writes to the state, and how it reads from it
    state: (batch, d_state, d)      before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state (delta and A may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive A, a
negative delta, a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run
raises ValueError naming the argument.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks, segsum
from .cpu.selective_scan import SelectiveScan
from .validation import check_backend, check_finite, check_result, checked, state_dtype

Channels = Float[Tensor, "batch time d"]
Rates = Float[Tensor, "d d_state"]
Keys = Float[Tensor, "batch time d_state"]
State = Float[Tensor, "batch d_state d"]

Channel = Float[Tensor, "batch d"]
Key = Float[Tensor, "batch d_state"]


def _start(x: Tensor, A: Tensor, B: Tensor, state: Tensor | None) -> Tensor:
    """The state before the first token; a rate of -inf would not show in a result."""
    check_finite(A=A)
    return x.new_zeros(len(x), B.shape[-1], x.shape[-1], dtype=state_dtype(x.dtype)) if state is None else state


def listing(
    x: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor, state: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """`chunkwise` by doubling: in log₂ chunk_size steps each token gets the map of all tokens since the chunk began.

    The maps h ↦ decay ∘ h + added of two neighbors combine to one: decay₂ decay₁ and decay₂ added₁ + added₂.
    `ops/cpu/selective_scan.py` is the fast form on a CPU.
    """
    h, y = state, []
    for pieces in zip(*(z.to(h.dtype).split(chunk_size, 1) for z in (x, delta, B, C)), strict=True):
        x, delta, B, C = pieces
        decay = torch.exp(delta[:, :, None, :] * A.mT.to(h.dtype))  # (b, L, d_state, d)
        added = B[..., None] * (delta * x)[:, :, None, :]
        size = 1
        while size < x.shape[1]:
            later = decay[:, size:]
            added = torch.cat([added[:, :size], later * added[:, :-size] + added[:, size:]], 1)
            decay = torch.cat([decay[:, :size], later * decay[:, :-size]], 1)
            size *= 2
        states = decay * h[:, None] + added
        y.append(torch.einsum("bls,blsc->blc", C, states))
        h = states[:, -1]
    return torch.cat(y, 1), h


@checked
def parallel(
    x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys, state: State | None = None
) -> tuple[Channels, State]:
    """The attention view, O(N²) with one matrix per channel, so only for short sequences.

    M[c, i, j] = Σ_s C_is e^{A_cs (δ_{j+1,c} + … + δ_ic)} δ_jc B_js    for i ≥ j,   0 above
    """
    h = _start(x, A, B, state)
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
    return check_result(y.to(x.dtype), {"x": x, "delta": delta, "B": B, "C": C}), h


@checked
def recurrent(
    x: Channels, delta: Channels, A: Rates, B: Keys, C: Keys, state: State | None = None
) -> tuple[Channels, State]:
    """The SSM view, O(N): h_t = e^{δ_tc A_c} ∘ h_{t-1} + δ_tc B_t x_tc, y_tc = C_t·h_t, all channels at once.

    Source: arXiv 2312.00752, Algorithm 2.
    """
    h = _start(x, A, B, state)
    sequences = {"x": x, "delta": delta, "B": B, "C": C}
    return _recurrence.by_tokens(partial(_step, A), sequences, h, x)


@checked
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
    """Chunk after chunk, all states inside a chunk by a two-level scan: O(N·d·d_state), but no matrix products."""
    h = _start(x, A, B, state)
    check_backend(backend, x)
    sequences = {"x": x, "delta": delta, "B": B, "C": C}
    return by_chunks(listing, SelectiveScan, sequences, h, x, chunk_size, constants=(A,))


@checked
def step(
    x_t: Channel, delta_t: Channel, A: Rates, B_t: Key, C_t: Key, state: State | None = None
) -> tuple[Channel, State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"x_t": x_t, "delta_t": delta_t, "B_t": B_t, "C_t": C_t}
    return _recurrence.one_token(partial(_step, A), token, _start(x_t, A, B_t, state))


def _step(A: Tensor, x_t: Tensor, delta_t: Tensor, B_t: Tensor, C_t: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    x, delta, A, B, C = (z.to(h.dtype) for z in (x_t, delta_t, A, B_t, C_t))
    h = torch.exp(delta[:, None, :] * A.mT) * h + B[:, :, None] * (delta * x)[:, None, :]
    return torch.einsum("bs,bsc->bc", C, h).to(x_t.dtype), h
