"""RWKV-7 on a GPU: its recurrence, with a program for each block of columns of a state, which stays in registers.

    S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ,    y_t = r_t S_t

Columns of S do not interact, so the blocks run side by side; tokens come one after another. Backward needs the states
in reverse. A step cannot be undone, because w may be 0: the states between chunks are kept instead, and those inside a
chunk are recomputed from the one before it. No tile is multiplied by a tile, so tensor cores have nothing to do here.
Everything is computed in float32, whatever the type of the arguments. Source: Peng et al., arXiv 2503.14456, Section 4.
"""

# mypy: disallow-incomplete-defs=False
# In a kernel only the constants are annotated.

import torch
import triton
import triton.language as tl
from torch import Tensor

from .tools import contiguous, differentiable, launch, load_row, load_state, store_row, store_state, tile


@triton.jit
def _load_token(r, log_w, k, v, kappa, a, bh, t, i, j, N, HEADS: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr):
    """r, w, k, v, κ̂ and a of token t, at keys i and values j."""
    w = tl.exp(load_row(log_w, bh, t, i, N, HEADS, DK))
    k_t, v_t = load_row(k, bh, t, i, N, HEADS, DK), load_row(v, bh, t, j, N, HEADS, DV)
    kappa_t, a_t = load_row(kappa, bh, t, i, N, HEADS, DK), load_row(a, bh, t, i, N, HEADS, DK)
    return load_row(r, bh, t, i, N, HEADS, DK), w, k_t, v_t, kappa_t, a_t


@triton.jit
def _next(S, found, w, k, v, removed):
    """The state after S: a token finds κ̂ᵀ S in it and removes that along a ∘ κ̂."""
    return w[:, None] * S - removed[:, None] * found[None, :] + k[:, None] * v[None, :]


@triton.jit
def _scan(
    r,
    log_w,
    k,
    v,
    kappa,
    a,
    states,
    y,
    N,
    chunks,
    length,
    HEADS: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    STAGES: tl.constexpr,
):
    """y, and the states after each chunk from the first of `states`: (b·h, chunks + 1, d_k, d_v)."""
    bh = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BK)
    j = tl.program_id(1) * BV + tl.arange(0, BV)
    slot = bh * (chunks + 1)
    S = load_state(states, slot, i, j, DK, DV)
    for chunk in range(chunks):
        for t in tl.range(chunk * length, tl.minimum((chunk + 1) * length, N), num_stages=STAGES):
            r_t, w, k_t, v_t, kappa_t, a_t = _load_token(r, log_w, k, v, kappa, a, bh, t, i, j, N, HEADS, DK, DV)
            S = _next(S, tl.sum(kappa_t[:, None] * S, 0), w, k_t, v_t, a_t * kappa_t)
            store_row(y, tl.sum(r_t[:, None] * S, 0), bh, t, j, N, HEADS, DV)
        store_state(states, S, slot + chunk + 1, i, j, DK, DV)


@triton.jit
def _backward(
    r,
    log_w,
    k,
    v,
    kappa,
    a,
    dy,
    states,
    inside,
    dstate,
    dr,
    dlog_w,
    dk,
    dv,
    dkappa,
    da,
    N,
    chunks,
    length,
    HEADS: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    STAGES: tl.constexpr,
):
    """All gradients, with chunks and tokens from the last to the first, and D the gradient of the state.

    `dstate` is D after the last token and becomes D before the first. `inside` has room for the states before each
    token of a chunk. Gradients that sum over values are written in parts, one for each block of columns.
    """
    bh = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BK)
    j = tl.program_id(1) * BV + tl.arange(0, BV)
    part = (tl.program_id(1) * tl.num_programs(0)).to(tl.int64) * N * DK
    D = load_state(dstate, bh, i, j, DK, DV)
    for back in range(chunks):
        chunk = chunks - 1 - back
        start = chunk * length
        stop = tl.minimum(start + length, N)
        S = load_state(states, bh * (chunks + 1) + chunk, i, j, DK, DV)
        for t in tl.range(start, stop, num_stages=STAGES):
            store_state(inside, S, bh * length + t - start, i, j, DK, DV)
            _, w, k_t, v_t, kappa_t, a_t = _load_token(r, log_w, k, v, kappa, a, bh, t, i, j, N, HEADS, DK, DV)
            S = _next(S, tl.sum(kappa_t[:, None] * S, 0), w, k_t, v_t, a_t * kappa_t)
        tl.debug_barrier()  # a thread may read what another has written
        for step in tl.range(0, stop - start, num_stages=STAGES):
            t = stop - 1 - step
            S = load_state(inside, bh * length + t - start, i, j, DK, DV)
            r_t, w, k_t, v_t, kappa_t, a_t = _load_token(r, log_w, k, v, kappa, a, bh, t, i, j, N, HEADS, DK, DV)
            dy_t = load_row(dy, bh, t, j, N, HEADS, DV)
            removed = a_t * kappa_t
            found = tl.sum(kappa_t[:, None] * S, 0)
            after = _next(S, found, w, k_t, v_t, removed)
            D += r_t[:, None] * dy_t[None, :]
            dfound = -tl.sum(D * removed[:, None], 0)
            dremoved = -tl.sum(D * found[None, :], 1)
            store_row(dr + part, tl.sum(after * dy_t[None, :], 1), bh, t, i, N, HEADS, DK)
            store_row(dlog_w + part, w * tl.sum(S * D, 1), bh, t, i, N, HEADS, DK)
            store_row(dk + part, tl.sum(D * v_t[None, :], 1), bh, t, i, N, HEADS, DK)
            store_row(dv, tl.sum(D * k_t[:, None], 0), bh, t, j, N, HEADS, DV)
            dkappa_t = a_t * dremoved + tl.sum(S * dfound[None, :], 1)
            store_row(dkappa + part, dkappa_t, bh, t, i, N, HEADS, DK)
            store_row(da + part, kappa_t * dremoved, bh, t, i, N, HEADS, DK)
            D = w[:, None] * D + kappa_t[:, None] * dfound[None, :]
        tl.debug_barrier()  # everything is read before the next chunk overwrites it
    store_state(dstate, D, bh, i, j, DK, DV)


# Columns of a program, and stages of its loop (with 5, four tokens are loaded ahead): the fastest on an H100 among 4 to
# 32 columns, 1 to 4 warps and 1 to 5 stages. In one warp, sums over keys need no barrier. Backward writes gradients
# that sum over values once for each block of columns: blocks of 8 would be faster still, but take twice the memory.
FORWARD = {"BV": 8, "STAGES": 5, "num_warps": 1}
BACKWARD = {"BV": 16, "STAGES": 3, "num_warps": 2}


def _sizes(k: Tensor, v: Tensor) -> dict[str, int]:
    heads, dk, dv = *k.shape[2:], v.shape[-1]
    return {"HEADS": heads, "DK": dk, "DV": dv, "BK": tile(dk, 1024)}


def _forward(*args: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """y, and the states before each chunk and after the last."""
    k, v, state = args[2], args[3], args[-1]
    chunks, sizes = triton.cdiv(v.shape[1], length), _sizes(k, v) | FORWARD
    states = state.new_empty(*state.shape[:2], chunks + 1, *state.shape[2:])
    states[:, :, 0] = state
    y = torch.empty_like(v)
    grid = (state.shape[0] * state.shape[1], triton.cdiv(sizes["DV"], sizes["BV"]))
    launch(_scan, grid, *args[:-1], states, y, v.shape[1], chunks, length, **sizes)
    return y, states


@torch.library.custom_op("lecture17::rwkv7", mutates_args=())
def _rwkv7(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    args = contiguous(r, log_w, k, v, kappa, a, state)
    y, states = _forward(*args, length=v.shape[1])
    return y, states[:, :, -1].clone()


@torch.library.custom_op("lecture17::rwkv7_backward", mutates_args=())
def _rwkv7_backward(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    kappa: Tensor,
    a: Tensor,
    state: Tensor,
    dy: Tensor,
    dstate: Tensor,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    *args, dy, dstate = contiguous(r, log_w, k, v, kappa, a, state, dy, dstate)
    _, states = _forward(*args, length=chunk)
    sizes = _sizes(k, v) | BACKWARD
    grid = (state.shape[0] * state.shape[1], triton.cdiv(sizes["DV"], sizes["BV"]))
    inside = state.new_empty(*state.shape[:2], chunk, *state.shape[2:])
    dstate, dv = dstate.clone(), v.new_empty(v.shape)
    parts = state.new_empty(5, grid[1], *k.shape)
    dr, dlog_w, dk, dkappa, da = parts
    tensors = (*args[:-1], dy, states, inside, dstate, dr, dlog_w, dk, dv, dkappa, da)
    launch(_backward, grid, *tensors, v.shape[1], states.shape[2] - 1, chunk, **sizes)
    dr, dlog_w, dk, dkappa, da = (d.sum(0).to(x.dtype) for d, x in zip(parts, (r, log_w, k, kappa, a), strict=True))
    return dr, dlog_w, dk, dv, dkappa, da, dstate


differentiable("rwkv7", _rwkv7, _rwkv7_backward, values=3)


def chunkwise(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    kappa: Tensor,
    a: Tensor,
    state: Tensor,
    chunk_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """`lecture17.ops.rwkv7.chunkwise` for checked float32 or bfloat16 arguments; returns (y, state).

    Only the arguments are kept for backward, which recomputes one state per chunk and one per token of a chunk. So
    chunk_size changes how much memory it takes, and not the results.
    """
    if v.numel() == 0:
        return v.clone(), state
    return _rwkv7(r, log_w, k, v, kappa, a, state, min(chunk_size, v.shape[1]))
