"""Gated linear attention on a GPU: chunks run side by side; in each, the state passes through sub-chunks of 16 tokens.

Every key has a decay of its own, so scores are not a plain product of queries and keys. Inside a sub-chunk keys are
decayed token by token; what passes between sub-chunks is decayed by e^{sum of the logs in between}. These are sums and
products, never a quotient or a difference, so gates of 0 need no special care. Source: Yang et al., arXiv 2312.06635,
Section 4. All sums are in float32; with bfloat16 arguments the factors of matrix products are bfloat16.

One exception: within a chunk, the gradient of log_alpha_t is what the tokens from t on read, minus what they read from
each other. So a gradient far below the largest is accurate only relative to the largest (`ssd` adds up pairs instead).
"""

# mypy: disallow-incomplete-defs=False
# In a kernel only the constants are annotated.

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.functional import pad

from .tools import (
    contiguous,
    differentiable,
    dot,
    launch,
    load_row,
    load_rows,
    load_state,
    pass_states,
    program,
    store_rows,
    store_state,
    tile,
)

SUB = tl.constexpr(16)
WIDEST = 128  # bytes of a token's keys that a program holds without spilling registers
LOWEST = tl.constexpr(-131.0)  # 1.5 times the log of float32's smallest normal number: e^LOWEST is 0


@triton.jit
def _decays(log_alpha, bh, t, k, N, HEADS: tl.constexpr, DK: tl.constexpr):
    """The decays of a sub-chunk, (tokens, keys): from its start through each token, after each to its end, whole."""
    i = tl.arange(0, SUB)
    logs = tl.maximum(load_rows(log_alpha, bh, t, k, N, HEADS, DK).to(tl.float32), LOWEST)
    through = dot(tl.where(i[None, :] <= i[:, None], 1.0, 0.0), logs)
    after = dot(tl.where(i[None, :] > i[:, None], 1.0, 0.0), logs)
    return tl.exp(through), tl.exp(after), tl.exp(tl.sum(logs, 0))


@triton.jit
def _scores(Q, K, log_alpha, P, N, subs, HEADS: tl.constexpr, DK: tl.constexpr, BK: tl.constexpr):
    """P[i, j] = Σ over keys of Q_i ∘ (decay from j to i) ∘ K_j for i ≥ j in each sub-chunk, else 0."""
    bh, sub = program(subs)
    i = tl.arange(0, SUB)
    k = tl.arange(0, BK)
    keys = load_rows(K, bh, sub * SUB + i, k, N, HEADS, DK).to(tl.float32)
    decayed = tl.zeros((SUB, BK), tl.float32)
    found = tl.zeros((SUB, SUB), tl.float32)
    for j in range(SUB):
        alpha = tl.exp(load_row(log_alpha, bh, sub * SUB + j, k, N, HEADS, DK))
        decayed = tl.where((i == j)[:, None], keys, decayed * alpha[None, :])
        row = tl.sum(decayed * load_row(Q, bh, sub * SUB + j, k, N, HEADS, DK)[None, :], 1)
        found = tl.where((i == j)[:, None], row[None, :], found)
    tl.store(P + (bh * subs + sub) * SUB * SUB + i[:, None] * SUB + i[None, :], found)


@triton.jit
def _backward_scores(
    Q,
    K,
    V,
    log_alpha,
    dy,
    dQ,
    dK,
    N,
    subs,
    HEADS: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """The gradients of Q and K through P, except for what a token reads from itself."""
    bh, sub = program(subs)
    i = tl.arange(0, SUB)
    k = tl.arange(0, BK)
    t = sub * SUB + i
    dP = tl.zeros((SUB, SUB), tl.float32)
    for v0 in range(0, DV, BV):
        v = v0 + tl.arange(0, BV)
        dP += dot(load_rows(dy, bh, t, v, N, HEADS, DV), tl.trans(load_rows(V, bh, t, v, N, HEADS, DV)))
    dP = tl.where(i[:, None] > i[None, :], dP, 0.0)
    queries = load_rows(Q, bh, t, k, N, HEADS, DK).to(tl.float32)
    keys = load_rows(K, bh, t, k, N, HEADS, DK).to(tl.float32)
    dq = tl.zeros((SUB, BK), tl.float32)
    dk = tl.zeros((SUB, BK), tl.float32)
    decayed = tl.zeros((SUB, BK), tl.float32)
    for j in range(SUB):
        alpha = tl.exp(load_row(log_alpha, bh, sub * SUB + j, k, N, HEADS, DK))
        decayed = tl.where((i == j)[:, None], keys, decayed * alpha[None, :])
        of_row = tl.sum(tl.where((i == j)[:, None], dP, 0.0), 0)
        dq = tl.where((i == j)[:, None], tl.sum(decayed * of_row[:, None], 0)[None, :], dq)
    decayed = tl.zeros((SUB, BK), tl.float32)
    for back in range(SUB):
        j = SUB - 1 - back
        alpha = tl.exp(load_row(log_alpha, bh, sub * SUB + j, k, N, HEADS, DK))
        of_column = tl.sum(tl.where((i == j)[None, :], dP, 0.0), 1)
        dk = tl.where((i == j)[:, None], tl.sum(decayed * of_column[:, None], 0)[None, :], dk)
        decayed = tl.where((i == j)[:, None], queries, decayed) * alpha[None, :]
    store_rows(dQ, dq, bh, t, k, N, HEADS, DK)
    store_rows(dK, dk, bh, t, k, N, HEADS, DK)


@triton.jit
def _chunk_states(
    K,
    V,
    log_alpha,
    states,
    total,
    N,
    chunks,
    HEADS: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    SUBS: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """What each chunk adds to the state, and its whole decay. In reverse, with Q and dy in the places of K and V: what
    it adds to the gradient of the state before it."""
    bh, chunk = program(chunks)
    k = tl.arange(0, BK)
    v = tl.program_id(1) * BV + tl.arange(0, BV)
    S = tl.zeros((BK, BV), tl.float32)
    whole = tl.full((BK,), 1.0, tl.float32)
    for step in range(SUBS):
        sub = SUBS - 1 - step if REVERSE else step
        t = (chunk * SUBS + sub) * SUB + tl.arange(0, SUB)
        through, after, decay = _decays(log_alpha, bh, t, k, N, HEADS, DK)
        keys = load_rows(K, bh, t, k, N, HEADS, DK) * (through if REVERSE else after)
        S = decay[:, None] * S + dot(tl.trans(keys).to(V.dtype.element_ty), load_rows(V, bh, t, v, N, HEADS, DV))
        whole *= decay
    store_state(states, S, bh * (chunks + 1) + chunk + (0 if REVERSE else 1), k, v, DK, DV)
    if tl.program_id(1) == 0:
        tl.store(total + (bh * chunks + chunk) * DK + k, whole, mask=k < DK)


@triton.jit
def _scan(
    Q,
    K,
    V,
    dy,
    log_alpha,
    P,
    states,
    y,
    dQ,
    N,
    chunks,
    HEADS: tl.constexpr,
    DK: tl.constexpr,
    DV: tl.constexpr,
    SUBS: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    REVERSE: tl.constexpr,
    GRADIENT: tl.constexpr,
):
    """y = P V + (Q ∘ decays) S, sub-chunk by sub-chunk, with S carried along; with GRADIENT instead what these values
    add to dQ, decays ∘ (dy Sᵀ).

    In reverse, with K and Q, dy and V exchanged and S the gradient of the state: y is dV and dQ is dK.
    """
    bh, chunk = program(chunks)
    i = tl.arange(0, SUB)
    k = tl.arange(0, BK)
    v = tl.program_id(1) * BV + tl.arange(0, BV)
    S = load_state(states, bh * (chunks + 1) + chunk + (1 if REVERSE else 0), k, v, DK, DV)
    part = dQ + tl.program_id(1).to(tl.int64) * (tl.num_programs(0) // (chunks * HEADS)) * N * HEADS * DK
    for step in range(SUBS):
        sub = chunk * SUBS + (SUBS - 1 - step if REVERSE else step)
        t = sub * SUB + i
        through, after, decay = _decays(log_alpha, bh, t, k, N, HEADS, DK)
        of_query = after if REVERSE else through
        of_key = through if REVERSE else after
        values = load_rows(V, bh, t, v, N, HEADS, DV)
        if GRADIENT:
            found = dot(load_rows(dy, bh, t, v, N, HEADS, DV), tl.trans(S).to(values.dtype))
            store_rows(part, found * of_query, bh, t, k, N, HEADS, DK)
        else:
            at = P + (bh * chunks * SUBS + sub) * SUB * SUB
            turned = i[None, :] * SUB + i[:, None] if REVERSE else i[:, None] * SUB + i[None, :]
            queries = (load_rows(Q, bh, t, k, N, HEADS, DK) * of_query).to(values.dtype)
            out = dot(queries, S.to(values.dtype)) + dot(tl.load(at + turned).to(values.dtype), values)
            store_rows(y, out, bh, t, v, N, HEADS, DV)
        keys = (load_rows(K, bh, t, k, N, HEADS, DK) * of_key).to(values.dtype)
        S = decay[:, None] * S + dot(tl.trans(keys), values)


class _Scan:
    """Sizes, scores and whole decays of one call."""

    def __init__(self, Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, state: Tensor, chunk: int) -> None:
        b, self.N, heads, dv = V.shape
        dk = Q.shape[-1]
        self.bh, self.chunks, self.log_alpha = b * heads, triton.cdiv(self.N, chunk), log_alpha
        subs = chunk // SUB.value
        self.sizes = {"HEADS": heads, "DK": dk, "DV": dv, "SUBS": subs, "BK": tile(dk), "BV": 32}
        self.over_v = triton.cdiv(dv, self.sizes["BV"])
        self.subs = self.chunks * subs
        self.P = state.new_empty(self.bh, self.subs, SUB.value, SUB.value)
        self.total = state.new_empty(self.bh, self.chunks, dk)
        self.by_sub(_scores, Q, K, log_alpha, self.P, only=("HEADS", "DK", "BK"))

    def by_sub(self, kernel: Any, *args: Tensor, only: tuple[str, ...]) -> None:
        launch(kernel, (self.bh * self.subs,), *args, self.N, self.subs, **{name: self.sizes[name] for name in only})

    def by_chunk(self, kernel: Any, *args: Tensor, **flags: bool) -> None:
        launch(kernel, (self.bh * self.chunks, self.over_v), *args, self.N, self.chunks, **self.sizes, **flags)

    def states(self, K: Tensor, V: Tensor, first: Tensor, reverse: bool = False) -> Tensor:
        """The states before each chunk and after the last; in reverse their gradients, starting from the last one's."""
        found = first.new_empty(self.bh, self.chunks + 1, *first.shape[2:])
        self.by_chunk(_chunk_states, K, V, self.log_alpha, found, self.total, REVERSE=reverse)
        pass_states(found, self.total, first, reverse)
        return found


@torch.library.custom_op("lecture17::gla", mutates_args=())
def _gla(Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, state: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    Q, K, V, log_alpha, state = contiguous(Q, K, V, log_alpha, state)
    scan = _Scan(Q, K, V, log_alpha, state, chunk)
    states = scan.states(K, V, state)
    y = state.new_empty(V.shape)
    scan.by_chunk(_scan, Q, K, V, V, log_alpha, scan.P, states, y, scan.P, REVERSE=False, GRADIENT=False)
    return y, states[:, -1].reshape(state.shape).clone()


@torch.library.custom_op("lecture17::gla_backward", mutates_args=())
def _gla_backward(
    Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, state: Tensor, dy: Tensor, dstate: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    Q, K, V, log_alpha, state, dy, dstate = contiguous(Q, K, V, log_alpha, state, dy.to(V.dtype), dstate)
    scan = _Scan(Q, K, V, log_alpha, state, chunk)
    states = scan.states(K, V, state)
    dstates = scan.states(Q, dy, dstate, reverse=True)
    dV = torch.empty_like(V)
    dQ, dK = state.new_empty(2, scan.over_v + 1, *Q.shape)  # parts to be summed: inside sub-chunks, then by values
    only = ("HEADS", "DK", "DV", "BK", "BV")
    scan.by_sub(_backward_scores, Q, K, V, log_alpha, dy, dQ[0], dK[0], only=only)
    scan.by_chunk(_scan, Q, K, V, dy, log_alpha, scan.P, states, dV, dQ[1:], REVERSE=False, GRADIENT=True)
    scan.by_chunk(_scan, K, Q, dy, V, log_alpha, scan.P, dstates, dV, dK[1:], REVERSE=True, GRADIENT=True)
    scan.by_chunk(_scan, K, Q, dy, V, log_alpha, scan.P, dstates, dV, dK, REVERSE=True, GRADIENT=False)
    dQ, dK = dQ.sum(0), dK.sum(0)
    # What passes from before t to t or later: all reads there, minus those of what tokens from t on wrote.
    kept = (states[:, 1:] * dstates[:, 1:]).sum(-1).unflatten(0, state.shape[:2]).transpose(1, 2)  # (b, chunks, h, d_k)
    reads = pad(Q * dQ - K * dK, (0, 0, 0, 0, 0, -scan.N % chunk)).unflatten(1, (-1, chunk))
    dlog = (reads.flip(2).cumsum(2).flip(2) + kept[:, :, None]).flatten(1, 2)[:, : scan.N]
    own = (dy.float() * V.float()).sum(-1, keepdim=True)  # for what a token reads from itself
    dQ, dK = (dQ + own * K).to(Q.dtype), (dK + own * Q).to(K.dtype)
    return dQ, dK, dV, dlog.to(log_alpha.dtype).contiguous(), dstates[:, 0].reshape(state.shape).clone()


differentiable("gla", _gla, _gla_backward, values=2, wide=True)


def chunkwise(
    Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, state: Tensor, chunk_size: int = 64
) -> tuple[Tensor, Tensor]:
    """`lecture17.ops.gla.chunkwise` for checked float32 or bfloat16 arguments; returns (y, state).

    The length of chunks is chunk_size rounded up to a power of two from 16 to 128. Only the arguments are kept for
    backward. Keys do not interact: more than 32 of them (64 in bfloat16) take several scans, and y is their sum.
    """
    if V.numel() == 0:
        return V.clone(), state
    chunk = tile(min(chunk_size, V.shape[1]), 128)
    widest = WIDEST // V.element_size()
    of_keys = zip(*(x.split(widest, -1) for x in (Q, K, log_alpha)), state.split(widest, 2), strict=True)
    parts, states = zip(*(_gla(q, k, V, w, S, chunk) for q, k, w, S in of_keys), strict=True)
    return sum(parts[1:], parts[0]).to(V.dtype), torch.cat(states, 2)
