"""SSD on a GPU: the four steps of the algorithm as kernels, and their backward pass.

    decays → what each chunk adds → the states between chunks → y, from the chunk itself and the state before it

Source: Dao and Gu, arXiv 2405.21060, Section 6. Inside a chunk the decay from token j to i is 2^{c_i - c_j}, with c the
sums of log₂ decays. They are summed in float64 and kept as a whole number n and a fraction f, so that the difference of
two large sums keeps its digits; -inf counts as a number so low that its power of two is 0. Entries above the diagonal
are set to -inf before the power is taken. All other sums are in float32; with bfloat16 arguments the factors of matrix
products are bfloat16.
"""

# mypy: disallow-incomplete-defs=False
# In a kernel only the constants are annotated.

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .tools import (
    contiguous,
    differentiable,
    dot,
    launch,
    load_rows,
    load_state,
    pass_states,
    program,
    store_rows,
    store_state,
    tile,
)

LOWEST = tl.constexpr(-189.0)  # 1.5 times log₂ of float32's smallest normal number: 2^LOWEST is 0
PER_LN = tl.constexpr(1.4426950408889634)  # log₂ e
LONGEST_CHUNK = 64  # fits a program's registers, except for up to 96 bytes per thread in float32 on A100


@triton.jit
def _decays(log_a, n, f, total, N, chunks, HEADS: tl.constexpr, L: tl.constexpr):
    bh, chunk = program(chunks)
    i = tl.arange(0, L)
    t = chunk * L + i
    at = (bh // HEADS * N + t) * HEADS + bh % HEADS
    log2_a = tl.load(log_a + at, mask=t < N, other=0.0).to(tl.float64) * PER_LN
    c = tl.cumsum(tl.maximum(log2_a, LOWEST), 0)
    whole = tl.floor(c + 0.5)
    part = c - whole
    tl.store(n + bh * chunks * L + t, whole.to(tl.float32))
    tl.store(f + bh * chunks * L + t, part.to(tl.float32))
    tl.store(total + bh * chunks + chunk + 0 * i, tl.exp2(c.to(tl.float32)), mask=i == L - 1)


@triton.jit
def _powers(n, f, bh, chunk, chunks, L: tl.constexpr):
    """n and f of the tokens of a chunk, and of its last."""
    at = (bh * chunks + chunk) * L
    i = tl.arange(0, L)
    return tl.load(n + at + i), tl.load(f + at + i), tl.load(n + at + L - 1), tl.load(f + at + L - 1)


@triton.jit
def _mask(n, f, L: tl.constexpr):
    """[2^{c_i - c_j}] for i ≥ j, else 0."""
    i = tl.arange(0, L)
    between = (n[:, None] - n[None, :]) + (f[:, None] - f[None, :])
    return tl.exp2(tl.where(i[:, None] >= i[None, :], between, float("-inf")))


@triton.jit
def _chunk_states(
    K,
    V,
    n,
    f,
    states,
    N,
    chunks,
    HEADS: tl.constexpr,
    SHARE: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    READS: tl.constexpr,
):
    """(decays ∘ K)ᵀ V of each chunk. With the decays to its end, that is what it adds to the state. With READS, K the
    queries and V the gradient of y, the decays are from its start: what it adds to the gradient of the state before."""
    bh, chunk = program(chunks)
    t = chunk * L + tl.arange(0, L)
    k = tl.program_id(1) * BK + tl.arange(0, BK)
    v = tl.program_id(2) * BV + tl.arange(0, BV)
    n_t, f_t, n_L, f_L = _powers(n, f, bh, chunk, chunks, L)
    decay = tl.exp2(n_t + f_t) if READS else tl.exp2((n_L - n_t) + (f_L - f_t))
    keys = load_rows(K, bh, t, k, N, HEADS, DK, SHARE) * decay[:, None]
    S = dot(tl.trans(keys).to(V.dtype.element_ty), load_rows(V, bh, t, v, N, HEADS, DV))
    store_state(states, S, bh * (chunks + 1) + chunk + (0 if READS else 1), k, v, DK, DV)


@triton.jit
def _scan(
    x,
    B,
    C,
    n,
    f,
    states,
    y,
    N,
    chunks,
    HEADS: tl.constexpr,
    SHARE: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """y = (mask ∘ C Bᵀ) x + 2^c ∘ (C S), S the state before the chunk.

    In reverse, with C and B exchanged, dy in the place of x, and S the gradient by the state after the chunk, y is
    dx = (maskᵀ ∘ B Cᵀ) dy + 2^{c_L - c} ∘ (B S).
    """
    bh, chunk = program(chunks)
    t = chunk * L + tl.arange(0, L)
    v = tl.program_id(1) * BV + tl.arange(0, BV)
    slot = bh * (chunks + 1) + chunk + (1 if REVERSE else 0)
    n_t, f_t, n_L, f_L = _powers(n, f, bh, chunk, chunks, L)
    scores = tl.zeros((L, L), tl.float32)
    out = tl.zeros((L, BV), tl.float32)
    for k0 in range(0, DK, BK):
        k = k0 + tl.arange(0, BK)
        q = load_rows(C, bh, t, k, N, HEADS, DK, SHARE)
        scores += dot(q, tl.trans(load_rows(B, bh, t, k, N, HEADS, DK, SHARE)))
        out += dot(q, load_state(states, slot, k, v, DK, DV).to(q.dtype))
    mask = _mask(n_t, f_t, L)
    P = (scores * (tl.trans(mask) if REVERSE else mask)).to(x.dtype.element_ty)
    decay = tl.exp2((n_L - n_t) + (f_L - f_t)) if REVERSE else tl.exp2(n_t + f_t)
    out = out * decay[:, None] + dot(P, load_rows(x, bh, t, v, N, HEADS, DV))
    store_rows(y, out, bh, t, v, N, HEADS, DV)


@triton.jit
def _backward_keys(
    x,
    dy,
    B,
    C,
    n,
    f,
    states,
    dkeys,
    passed,
    N,
    chunks,
    HEADS: tl.constexpr,
    SHARE: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    READS: tl.constexpr,
):
    """dB = (maskᵀ ∘ (x dyᵀ)) C + 2^{c_L - c} ∘ (x Dᵀ), D the gradient of the state after the chunk.

    With READS the mirror image, C and dy in the places of B and x: dC = (mask ∘ (dy xᵀ)) B + 2^c ∘ (dy Sᵀ), S the state
    before the chunk. `passed` is each key times the second term: what passes from the token to D, or to it from S.
    """
    bh, chunk = program(chunks)
    i = tl.arange(0, L)
    t = chunk * L + i
    slot = bh * (chunks + 1) + chunk + (0 if READS else 1)
    n_t, f_t, n_L, f_L = _powers(n, f, bh, chunk, chunks, L)
    G = tl.zeros((L, L), tl.float32)
    for v0 in range(0, DV, BV):
        v = v0 + tl.arange(0, BV)
        G += dot(load_rows(x, bh, t, v, N, HEADS, DV), tl.trans(load_rows(dy, bh, t, v, N, HEADS, DV)))
    mask = _mask(n_t, f_t, L)
    G = (G * (mask if READS else tl.trans(mask))).to(x.dtype.element_ty)
    decay = tl.exp2(n_t + f_t) if READS else tl.exp2((n_L - n_t) + (f_L - f_t))
    through = tl.zeros((L,), tl.float32)
    for k0 in range(0, DK, BK):
        k = k0 + tl.arange(0, BK)
        out = tl.zeros((L, BK), tl.float32)
        for v0 in range(0, DV, BV):
            v = v0 + tl.arange(0, BV)
            S = load_state(states, slot, k, v, DK, DV).to(G.dtype)
            out += dot(load_rows(x, bh, t, v, N, HEADS, DV), tl.trans(S))
        out *= decay[:, None]
        through += tl.sum(load_rows(B, bh, t, k, N, HEADS, DK, SHARE) * out, 1)
        out += dot(G, load_rows(C, bh, t, k, N, HEADS, DK, SHARE))
        store_rows(dkeys, out, bh, t, k, N, HEADS, DK)
    tl.store(passed + bh * chunks * L + t, through)


@triton.jit
def _backward_decays(
    x,
    B,
    C,
    n,
    f,
    dy,
    reads,
    writes,
    kept,
    dlog,
    N,
    chunks,
    HEADS: tl.constexpr,
    SHARE: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """The gradient of log_a_t: all that passes from before t to t or later. Nothing is subtracted, so that a small
    gradient is accurate.

        Σ over i ≥ t > j of (mask ∘ C Bᵀ ∘ dy xᵀ)[i, j] + Σ over i ≥ t of reads[i] + Σ over j < t of writes[j]
        + kept, which is 2^{c_L} Σ S ∘ D
    """
    bh, chunk = program(chunks)
    i = tl.arange(0, L)
    t = chunk * L + i
    n_t, f_t, _, _ = _powers(n, f, bh, chunk, chunks, L)
    G = tl.zeros((L, L), tl.float32)
    for v0 in range(0, DV, BV):
        v = v0 + tl.arange(0, BV)
        G += dot(load_rows(dy, bh, t, v, N, HEADS, DV), tl.trans(load_rows(x, bh, t, v, N, HEADS, DV)))
    scores = tl.zeros((L, L), tl.float32)
    for k0 in range(0, DK, BK):
        k = k0 + tl.arange(0, BK)
        keys = load_rows(B, bh, t, k, N, HEADS, DK, SHARE)
        scores += dot(load_rows(C, bh, t, k, N, HEADS, DK, SHARE), tl.trans(keys))
    read = tl.where(i[:, None] > i[None, :], scores * G * _mask(n_t, f_t, L), 0.0)
    later = dot(tl.where(i[None, :] >= i[:, None], 1.0, 0.0), read)  # [t, j]: what t and all after it read from j
    later += tl.load(writes + bh * chunks * L + t)[None, :]
    from_t = tl.load(reads + bh * chunks * L + t)[None, :]
    found = tl.sum(tl.where(i[None, :] < i[:, None], later, from_t), 1) + tl.load(kept + bh * chunks + chunk)
    tl.store(dlog + (bh // HEADS * N + t) * HEADS + bh % HEADS, found.to(dlog.dtype.element_ty), mask=t < N)


class _Scan:
    """Sizes, decays and states of one call."""

    def __init__(self, x: Tensor, log_a: Tensor, B: Tensor, state: Tensor, chunk: int) -> None:
        b, self.N, heads, dv = x.shape
        dk = B.shape[-1]
        self.bh, self.chunks = b * heads, triton.cdiv(self.N, chunk)
        self.sizes = {"HEADS": heads, "SHARE": heads // B.shape[2], "DK": dk, "DV": dv, "L": chunk}
        side = 128 // x.element_size()
        self.sizes |= {"BK": tile(dk, side), "BV": tile(dv, side), "num_warps": 4, "num_stages": 3}
        self.over_k, self.over_v = triton.cdiv(dk, self.sizes["BK"]), triton.cdiv(dv, self.sizes["BV"])
        self.n, self.f = state.new_empty(2, self.bh, self.chunks * chunk)
        self.total = state.new_empty(self.bh, self.chunks, 1)
        self.launch(_decays, (), log_a, self.n, self.f, self.total, only=("HEADS", "L"))

    def launch(
        self, kernel: Any, grid: tuple[int, ...], *args: Tensor, only: tuple[str, ...] = (), **more: Any
    ) -> None:
        sizes = {name: self.sizes[name] for name in only or self.sizes}
        launch(kernel, (self.bh * self.chunks, *grid), *args, self.N, self.chunks, **sizes, **more)

    def states(self, K: Tensor, V: Tensor, first: Tensor, reverse: bool = False) -> Tensor:
        """The states before each chunk and after the last; in reverse their gradients, starting from the last one's."""
        found = first.new_empty(self.bh, self.chunks + 1, *first.shape[2:])
        self.launch(_chunk_states, (self.over_k, self.over_v), K, V, self.n, self.f, found, READS=reverse)
        pass_states(found, self.total, first, reverse)
        return found


@torch.library.custom_op("lecture17::ssd", mutates_args=())
def _ssd(x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    x, log_a, B, C, state = contiguous(x, log_a, B, C, state)
    scan = _Scan(x, log_a, B, state, chunk)
    states = scan.states(B, x, state)
    y = torch.empty_like(x)
    scan.launch(_scan, (scan.over_v,), x, B, C, scan.n, scan.f, states, y, REVERSE=False)
    return y, states[:, -1].reshape(state.shape).clone()


@torch.library.custom_op("lecture17::ssd_backward", mutates_args=())
def _ssd_backward(
    x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Tensor, dy: Tensor, dstate: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    x, log_a, B, C, state, dy, dstate = contiguous(x, log_a, B, C, state, dy, dstate)
    scan = _Scan(x, log_a, B, state, chunk)
    states = scan.states(B, x, state)
    dstates = scan.states(C, dy, dstate, reverse=True)
    dx, dlog_a = torch.empty_like(x), torch.empty_like(log_a)
    dB, dC = state.new_empty(2, *x.shape[:3], B.shape[-1])  # of each head
    reads, writes = torch.empty_like(scan.n), torch.empty_like(scan.n)
    scan.launch(_scan, (scan.over_v,), dy, C, B, scan.n, scan.f, dstates, dx, REVERSE=True)
    scan.launch(_backward_keys, (), x, dy, B, C, scan.n, scan.f, dstates, dB, writes, READS=False)
    scan.launch(_backward_keys, (), dy, x, C, B, scan.n, scan.f, states, dC, reads, READS=True)
    kept = scan.total[..., 0] * torch.linalg.vecdot(states[:, :-1].flatten(2), dstates[:, 1:].flatten(2))
    scan.launch(_backward_decays, (), x, B, C, scan.n, scan.f, dy, reads, writes, kept, dlog_a)
    dB, dC = (d.unflatten(2, (B.shape[2], -1)).sum(3).to(B.dtype) for d in (dB, dC))
    return dx, dlog_a, dB, dC, dstates[:, 0].reshape(state.shape).clone()


differentiable("ssd", _ssd, _ssd_backward, values=0)


def chunkwise(
    x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Tensor, chunk_size: int = 64
) -> tuple[Tensor, Tensor]:
    """`lecture17.ops.ssd.chunkwise` for checked float32 or bfloat16 arguments; returns (y, state).

    Chunks have 16, 32 or 64 tokens: chunk_size rounded up, or 64. Only the arguments are kept for backward.
    """
    if x.numel() == 0:
        return x.clone(), state
    chunk = tile(min(chunk_size, x.shape[1]), LONGEST_CHUNK)
    return _ssd(x, log_a, B, C, state, chunk)
