"""Attention under one decay per token, chunk by chunk: the core of ssd, retention, linear_attention and mamba3.

    S_t = a_t S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t        (a_t = e^{log_a_t})

The four steps of the SSD algorithm (arXiv 2405.21060, Section 6) as matrix products over a block of chunks at a time,
so that what a block needs stays in the cache, with the backward pass written out: it needs nothing but the arguments
and the state in front of each chunk.

How the decays stay exact. With c_i = log₂ a_1 + … + log₂ a_i inside a chunk, the mask is L[i, j] = 2^{c_i - c_j}, but
the difference of two rounded sums is off by the rounding of the larger. So c is summed in float64 and split,
c_i = n_i + f_i with n_i a whole number and |f_i| ≤ 1/2:

    L = diag(2^{f_i}) [2^{n_i - n_j}] diag(2^{-f_j})

The mask in the middle is exact, and the outer factors lie within √2 of 1 and are taken into y and v. A decay too small
for the type to hold, 0 among them, counts as 2^floor, which is 0 in that type too. Where no c is below LOWEST_SUM, the
forward pass takes 2^{c_i} into q and 2^{-c_j} into k instead: then there is no mask to make but the triangle.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._memory import Workspace, empty_result

# Numbers in one intermediate of a block: a mebibyte of float32, so that a few of them fit the caches of two cores.
BLOCK_NUMEL = 2**18

# Sums of log₂ decays down to which 2^{-sum} is computed: far from overflow, and 2^sum from subnormal numbers.
LOWEST_SUM = -30.0


def attend(Q: Tensor, K: Tensor, V: Tensor, log_a: Tensor, state: Tensor, chunk_size: int) -> tuple[Tensor, Tensor]:
    """The chunkwise form; returns (y, state after the last token).

    Q, K: (b, t, groups, d_k), V: (b, t, h, d_v), log_a: (b, t, h), state: (b, h, d_k, d_v).
    """
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (Q, K, V, log_a, state))
    return _Attend.apply(Q, K, V, log_a, state, chunk_size, keep)


class _Decays(NamedTuple):
    """The decays of some chunks, (chunks, b, groups, heads per group, length, 1), as powers of n and f."""

    n: Tensor
    from_start: Tensor  # 2^{n_i}
    to_end: Tensor  # 2^{n_L + f_L - n_j}
    up: Tensor  # 2^{f_i}
    down: Tensor  # 2^{-f_j}
    total: Tensor  # 2^{n_L + f_L}, of the whole chunk: (chunks, b, groups, heads per group, 1, 1)

    def mask(self) -> Tensor:
        """[2^{n_i - n_j}] for i ≥ j, else 0: (chunks, b, groups, heads per group, length, length)."""
        return (self.n - self.n.mT).exp2_().tril_()


def _decays(log_a: Tensor, dtype: torch.dtype) -> _Decays:
    """Of log_a: (chunks, b, groups, heads per group, length, 1)."""
    floor = 1.5 * math.log2(torch.finfo(dtype).tiny)  # not even a subnormal number is half as small again
    log2_a = (log_a.to(torch.float64) / math.log(2)).clamp_(min=floor)
    c = log2_a.squeeze(-1).contiguous().cumsum(-1).unsqueeze(-1)
    n = c.round()
    f, n = c.sub_(n).to(dtype), n.to(dtype)
    n_L, f_L = n[..., -1:, :], f[..., -1:, :]
    return _Decays(n, n.exp2(), (n_L - n + f_L).exp2_(), f.exp2(), f.neg().exp2_(), (n_L + f_L).exp2_())


def _by_head(x: Tensor, chunks: int, groups: int) -> Tensor:
    """(b, t, heads or groups, d) -> (chunks, b, groups, heads per group or 1, length, d), a view."""
    return x.unflatten(2, (groups, -1)).unflatten(1, (chunks, -1)).permute(1, 0, 3, 4, 2, 5)


def _blocks(
    log_a: Tensor, dtype: torch.dtype, chunk_size: int, *sequences: Tensor
) -> Iterator[tuple[slice, _Decays, list[Tensor]]]:
    """Rows of the batch, decays, and views by head of the sequences, for a few chunks of equal length at a time.

    The blocks of one row come in the order of time; what is left at its end is a chunk of its own.
    """
    batch, time, heads = log_a.shape
    groups = min(x.shape[2] for x in sequences)
    length = max(1, min(chunk_size, time))
    widest = max(length, *(x.shape[3] for x in sequences))
    room = max(1, BLOCK_NUMEL // max(1, heads * length * widest))  # in chunks of one row
    at_a_time = max(1, min(room, time // length))
    whole = time - time % length
    for row in range(0, batch, room // at_a_time):
        rows = slice(row, row + room // at_a_time)
        for tokens, chunk in ((slice(0, whole), length), (slice(whole, time), time - whole)):
            chunks = (tokens.stop - tokens.start) // max(1, chunk)
            if chunks:
                of_head, *views = (_by_head(x[rows, tokens], chunks, groups) for x in (log_a[..., None], *sequences))
                decays = zip(*(d.split(at_a_time) for d in _decays(of_head, dtype)), strict=True)
                for part, *of_block in zip(decays, *(x.split(at_a_time) for x in views), strict=True):
                    yield rows, _Decays._make(part), of_block


def _matrices(x: Tensor) -> Tensor:
    """All but the last two axes as one: what torch.bmm takes."""
    return x.flatten(0, -3)


def _gathered(x: Tensor, factor: Tensor) -> Tensor:
    """A copy of x times factor, laid out in the order of its axes."""
    return torch.mul(x, factor, out=factor.new_empty(x.shape))


def _scaled(x: Tensor, factor: Tensor) -> Tensor:
    """x times factor, written over x unless the factor has more heads."""
    return x.mul_(factor) if x.shape[3] == factor.shape[3] else x * factor


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, Q: Tensor, K: Tensor, V: Tensor, log_a: Tensor, state: Tensor, chunk_size: int, keep: bool
    ) -> tuple[Tensor, Tensor]:
        S = state.unflatten(1, (K.shape[2], -1)).clone()
        y = empty_result(V)
        kept, work = [], Workspace(S)
        for rows, a, views in _blocks(log_a, S.dtype, chunk_size, Q, K, V, y):
            work.again()
            # What is kept for the backward pass must outlive the block, what is not lies where the last one lay.
            states = (S.new_empty if keep else work.take)((len(a.n) + 1, *S[rows].shape))
            states[0] = S[rows]
            near = a.n.amin() >= LOWEST_SUM
            (_forward_near if near else _forward)(work, a, states, *views)
            S[rows] = states[-1]
            if keep:
                kept.append(states)
        if keep:
            ctx.save_for_backward(Q, K, V, log_a, *kept)
            ctx.chunk_size = chunk_size
        return y, S.flatten(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        Q, K, V, log_a, *kept = ctx.saved_tensors
        dS = dstate.unflatten(1, (K.shape[2], -1)).clone()
        dQ, dK, dV, dlog_a = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (Q, K, V, log_a))
        blocks = _blocks(log_a, dS.dtype, ctx.chunk_size, Q, K, V, dy, dQ, dK, dV, dlog_a[..., None])
        for (rows, a, views), states in reversed(list(zip(blocks, kept, strict=True))):
            dS[rows] = _backward(a, states, dS[rows], *views)
        return dQ, dK, dV, dlog_a, dS.flatten(1, 2), None, None


def _forward(work: Workspace, a: _Decays, states: Tensor, Q: Tensor, K: Tensor, V: Tensor, y: Tensor) -> None:
    """Write y, of some chunks by head, and the states after each: (chunks + 1, ...), of which the first is given."""
    k, q = (work.take(x.shape).copy_(x) for x in (K, Q))  # (c, b, g, 1, L, d_k)
    v = torch.mul(V, a.down, out=work.take(V.shape))  # (c, b, g, h/g, L, d_v)

    scores = torch.bmm(_matrices(q), _matrices(k).mT).view(*k.shape[:-1], -1)
    P = a.mask().mul_(scores)  # (c, b, g, h/g, L, L)
    out = torch.bmm(_matrices(P), _matrices(v))
    del scores, P  # their memory is in the cache

    torch.bmm(_matrices(_scaled(k, a.to_end)).mT, _matrices(v), out=_matrices(states[1:]))  # what each chunk adds
    for after, decay, before in zip(states[1:], a.total, states[:-1], strict=True):
        after.addcmul_(decay, before)

    out.baddbmm_(_matrices(_scaled(q, a.from_start)), _matrices(states[:-1]))
    torch.mul(out.view(v.shape), a.up, out=y)


def _forward_near(work: Workspace, a: _Decays, states: Tensor, Q: Tensor, K: Tensor, V: Tensor, y: Tensor) -> None:
    """`_forward` where no decay since the start of a chunk is so small that it could not be divided by."""
    since_start = a.from_start * a.up  # (c, b, g, h/g, L, 1)
    heads = V.shape[:-1]
    q = torch.mul(Q, since_start, out=work.take((*heads, Q.shape[-1])))  # (c, b, g, h/g, L, d_k)
    k = torch.mul(K, since_start.reciprocal(), out=work.take((*heads, K.shape[-1])))
    v = work.take(V.shape).copy_(V)
    q, k, v = (_matrices(x) for x in (q, k, v))

    P = torch.bmm(q, k.mT, out=work.take((len(q), q.shape[1], q.shape[1]))).tril_()
    out = torch.bmm(P, v, out=work.take(v.shape))
    torch.bmm(k.mT, v, out=_matrices(states[1:]))  # what each chunk adds, grown by all its decays
    for after, decay, before in zip(states[1:], a.total, states[:-1], strict=True):
        after.add_(before).mul_(decay)
    y.copy_(out.baddbmm_(q, _matrices(states[:-1])).view(V.shape))


def _backward(
    a: _Decays,
    states: Tensor,
    dS: Tensor,
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    dy: Tensor,
    dQ: Tensor,
    dK: Tensor,
    dV: Tensor,
    dlog_a: Tensor,
) -> Tensor:
    """Write dQ, dK, dV and dlog_a, of some chunks by head; returns the gradient by the state in front of them.

    dS is the gradient by the state after them. In each chunk, with P = mask ∘ Q Kᵀ, v and dy scaled by the fractional
    parts, u = 2^n, w = what is left at the chunk's end, S the state before and D the gradient by that after:

        G = mask ∘ (dy vᵀ),    dQ = G K + (u ∘ dy) Sᵀ,    dK = Gᵀ Q + w ∘ (v Dᵀ),    dv = Pᵀ dy + (w ∘ K) D
    """
    v, dout = _gathered(V, a.down), _gathered(dy, a.up)
    per_head = (*v.shape[:-1], K.shape[-1])
    k, q = (x.to(states.dtype).expand(per_head).contiguous() for x in (K, Q))
    mask = _matrices(a.mask())

    dout_start = dout * a.from_start
    dstates = torch.empty_like(states)
    dstates[-1] = dS
    torch.bmm(_matrices(q).mT, _matrices(dout_start), out=_matrices(dstates[:-1]))
    for before, decay, after in reversed(list(zip(dstates[:-1], a.total, dstates[1:], strict=True))):
        before.addcmul_(decay, after)

    dq = (_matrices(dout_start) @ _matrices(states[:-1]).mT).view(per_head)
    dk = (_matrices(v) @ _matrices(dstates[1:]).mT).view(per_head).mul_(a.to_end)
    reads, writes = (q * dq).sum(-1), (k * dk).sum(-1)  # of the state before, to the state after: (c, b, g, h/g, L)

    scores = _matrices(q) @ _matrices(k).mT
    G = (_matrices(dout) @ _matrices(v).mT).mul_(mask)
    dq.flatten(0, 3).baddbmm_(G, _matrices(k))
    dk.flatten(0, 3).baddbmm_(G.mT, _matrices(q))
    dv = _matrices(k * a.to_end) @ _matrices(dstates[1:])
    dv.baddbmm_((scores * mask).mT, _matrices(dout))

    # a_t is a factor of what any token from t on reads of any token before t, and of the states' reads, writes and
    # decays across t. Summing just these, instead of a difference of larger sums, keeps a small gradient exact.
    across = scores.mul_(G) @ scores.new_ones(scores.shape[-2:]).triu(1)  # [i, t]: what i reads of all before t
    dlog = across.tril_().sum(-2).view_as(reads)
    dlog += reads.flip(-1).cumsum(-1).flip(-1)
    dlog[..., 1:] += writes.cumsum(-1)[..., :-1]
    dlog += (a.total * dstates[1:] * states[:-1]).sum((-2, -1))[..., None]

    torch.mul(dv.view(v.shape), a.down, out=dV)
    dQ.copy_(dq.sum_to_size(dQ.shape))
    dK.copy_(dk.sum_to_size(dK.shape))
    dlog_a.copy_(dlog[..., None])
    return dstates[0]
