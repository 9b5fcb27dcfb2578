"""Attention under one decay per token, chunk by chunk: the core of ssd, retention, linear_attention and mamba3.

    S_t = a_t S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t        (a_t = e^{log_a_t})

The four steps of the SSD algorithm (arXiv 2405.21060, Section 6) as matrix products over a block of chunks at a time,
so that what a block needs stays in the cache, with the backward pass written out: it needs nothing but the arguments
and the state in front of each chunk.

How the decays stay exact. With c_i = log₂ a_1 + … + log₂ a_i, the decay from j to i is 2^{c_i - c_j}, but the
difference of two rounded sums is off by the rounding of the larger. So c is summed in float64, and there are two ways:

Where no c of a block is below LOWEST_SUM, 2^{c_i} is taken into y and 2^{-c_j} into v. What lies between is attention
without decays: the mask is a triangle, states add up, and the heads of a group share their scores. c counts from the
start of the block, and the state after its last token is brought back to scale by the decay of the whole block.

Anywhere else c is summed within each chunk and split, c_i = n_i + f_i with n_i a whole number and |f_i| ≤ 1/2:

    L = diag(2^{f_i}) [2^{n_i - n_j}] diag(2^{-f_j})

The mask in the middle is exact, and the outer factors lie within √2 of 1 and are taken into y and v. A decay too small
for the type to hold, 0 among them, counts as 2^floor, which is 0 in that type too. So are numbers multiplied that are
so large that 2^{-c_j} v overflows, though y does not.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from ._memory import BLOCK_NUMEL, empty_result
from ._validation import check_finite

# Sums of log₂ decays in a block down to which 2^{-sum} is computed: 2^{±sum} is far from overflow and from 0.
LOWEST_SUM = -64.0


def attend(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    log_a: Tensor,
    state: Tensor,
    chunk_size: int,
    names: tuple[str, str, str] = ("Q", "K", "V"),
) -> tuple[Tensor, Tensor]:
    """The chunkwise form; returns (y, state after the last token).

    Q, K: (b, t, groups, d_k), V: (b, t, h, d_v), log_a: (b, t, h), state: (b, h, d_k, d_v). A number in Q, K or V
    that is not finite raises ValueError; `names` is what the caller calls them.
    """
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (Q, K, V, log_a, state))
    y, state, finite = _Attend.apply(Q, K, V, log_a, state, chunk_size, keep)
    if not finite:
        check_finite(**dict(zip(names, (Q, K, V), strict=True)))
    return y, state


class _Decays(NamedTuple):
    """The decays of some chunks, (chunks, b, groups, heads per group, length, 1), taken apart in one of the two ways.

    None stands for factors of 1, and n = None for a mask that is but a triangle.
    """

    up: Tensor  # factor of y
    down: Tensor  # of v
    last: Tensor | None = None  # of the state after the block: (b, groups, heads per group, 1, 1)
    n: Tensor | None = None
    from_start: Tensor | None = None  # of q where it meets the state
    to_end: Tensor | None = None  # of k there
    total: Tensor | None = None  # of the state, in each chunk: (chunks, b, groups, heads per group, 1, 1)

    def mask(self) -> Tensor:
        """[2^{n_i - n_j}] for i ≥ j, else 0: (chunks, b, groups, heads per group, length, length)."""
        assert self.n is not None
        return (self.n - self.n.mT).exp2_().tril_()

    def add_up(self, states: Tensor, reverse: bool = False) -> None:
        """From the first state and what each chunk adds to the states between chunks, in place."""
        totals = (None,) * (len(states) - 1) if self.total is None else self.total.unbind(0)
        steps = list(zip(states[:-1].unbind(0), totals, states[1:].unbind(0), strict=True))
        for before, total, after in reversed(steps) if reverse else steps:
            to, of = (before, after) if reverse else (after, before)
            to.add_(of) if total is None else to.addcmul_(total, of)


def _decays(log_a: Tensor, dtype: torch.dtype, at_a_time: int, divide: bool) -> Iterator[_Decays]:
    """Of every block of so many chunks; log_a: (chunks, b, groups, heads per group, length, 1)."""
    floor = 1.5 * math.log2(torch.finfo(dtype).tiny)  # not even a subnormal number is half as small again
    c = log_a.squeeze(-1).to(torch.float64, copy=True, memory_format=torch.contiguous_format)
    c = c.div_(math.log(2)).clamp_(min=floor).cumsum_(-1)[..., None]
    totals = c[..., -1:, :]
    of_block = pad(totals, (*(0, 0) * 5, 0, -len(c) % at_a_time)).unflatten(0, (-1, at_a_time))
    last = of_block.sum(1)
    lowest = last.flatten(1).amin(1)
    start = (of_block.cumsum(1) - of_block).flatten(0, 1)[: len(c)]  # sums at the start of each chunk
    up = (start + c).exp2_().to(dtype)  # out of range where it is not taken
    up_and_down = (x.split(at_a_time) for x in (up, up.reciprocal()))
    by_block = zip(c.split(at_a_time), *up_and_down, last.exp2().to(dtype), lowest.tolist(), strict=True)
    for c_block, *factors, low in by_block:
        yield _Decays(*factors) if divide and low >= LOWEST_SUM else _exact(c_block, dtype)


def _exact(c: Tensor, dtype: torch.dtype) -> _Decays:
    n = c.round()
    f, n = (c - n).to(dtype), n.to(dtype)
    n_L, f_L = n[..., -1:, :], f[..., -1:, :]
    return _Decays(f.exp2(), f.neg().exp2_(), None, n, n.exp2(), (n_L - n + f_L).exp2_(), (n_L + f_L).exp2_())


def _by_head(x: Tensor, chunks: int, groups: int) -> Tensor:
    """(b, t, heads or groups, d) -> (chunks, b, groups, heads per group or 1, length, d), a view."""
    return x.unflatten(2, (groups, -1)).unflatten(1, (chunks, -1)).permute(1, 0, 3, 4, 2, 5)


def _rows(
    log_a: Tensor, dtype: torch.dtype, chunk_size: int, divide: bool, *sequences: Tensor
) -> Iterator[tuple[slice, Iterator[tuple[_Decays, list[Tensor]]]]]:
    """Some rows of the batch, and their blocks: decays, and views by head of the sequences, of a few chunks at a time.

    The blocks come in the order of time; what is left at the end of a row is a chunk of its own.
    """
    batch, time, heads = log_a.shape
    groups = min(x.shape[2] for x in sequences)
    length = max(1, min(chunk_size, time))
    widest = max(length, *(x.shape[3] for x in sequences))
    room = max(1, BLOCK_NUMEL // max(1, heads * length * widest))  # in chunks of one row
    at_a_time = max(1, min(room, time // length))
    whole = time - time % length

    def blocks(rows: slice) -> Iterator[tuple[_Decays, list[Tensor]]]:
        for tokens, chunk in ((slice(0, whole), length), (slice(whole, time), time - whole)):
            chunks = (tokens.stop - tokens.start) // max(1, chunk)
            if chunks:
                of_head, *views = (_by_head(x[rows, tokens], chunks, groups) for x in (log_a[..., None], *sequences))
                decays = _decays(of_head, dtype, at_a_time, divide)
                for a, *of_block in zip(decays, *(x.split(at_a_time) for x in views), strict=True):
                    yield a, of_block

    for row in range(0, batch, room // at_a_time):
        rows = slice(row, row + room // at_a_time)
        yield rows, blocks(rows)


def _after(S: Tensor, last: Tensor | None, out: Tensor) -> None:
    """Write the state S after a block times the last factor of that block."""
    out.copy_(S) if last is None else torch.mul(S, last, out=out)


def _matrices(x: Tensor) -> Tensor:
    """All but the last two axes as one: what torch.bmm takes."""
    return x.flatten(0, -3)


def _gathered(x: Tensor, factor: Tensor) -> Tensor:
    """A copy of x times factor, laid out in the order of its axes."""
    return torch.mul(x, factor, out=factor.new_empty(x.shape))


def _scaled(x: Tensor, factor: Tensor | None) -> Tensor:
    """x times factor, written over x unless the factor has more heads."""
    if factor is None:
        return x
    return x.mul_(factor) if x.shape[3] == factor.shape[3] else x * factor


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, Q: Tensor, K: Tensor, V: Tensor, log_a: Tensor, state: Tensor, chunk_size: int, keep: bool
    ) -> tuple[Tensor, Tensor, bool]:
        for divide in (True, False):
            y, S, finite, kept = _forward(Q, K, V, log_a, state, chunk_size, keep, divide)
            if finite:
                break
        if keep:
            ctx.save_for_backward(Q, K, V, log_a, *kept)
            ctx.chunk_size, ctx.divide = chunk_size, divide
        return y, S, finite

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dstate: Tensor, _: None) -> tuple[Tensor | None, ...]:
        Q, K, V, log_a, *kept = ctx.saved_tensors
        dS = dstate.unflatten(1, (K.shape[2], -1)).clone()
        dQ, dK, dV, dlog_a = (empty_result(x) for x in (Q, K, V, log_a))
        sequences = (Q, K, V, dy, dQ, dK, dV, dlog_a[..., None])
        batch = _rows(log_a, dS.dtype, ctx.chunk_size, ctx.divide, *sequences)
        blocks = [(rows, a, views) for rows, of_rows in batch for a, views in of_rows]
        for (rows, a, views), states in reversed(list(zip(blocks, kept, strict=True))):
            _backward(a, states, dS[rows], *views)
        return dQ, dK, dV, dlog_a, dS.flatten(1, 2), None, None


def _forward(
    Q: Tensor, K: Tensor, V: Tensor, log_a: Tensor, state: Tensor, chunk_size: int, keep: bool, divide: bool
) -> tuple[Tensor, Tensor, bool, list[Tensor]]:
    """y, the state after the last token, whether both are finite, and the states of each block if they are kept."""
    S = state.unflatten(1, (K.shape[2], -1)).clone()
    y = empty_result(V)
    kept, sums = [], []
    divided: dict[torch.Size, _Divided] = {}  # by the shape of the decays
    for rows, blocks in _rows(log_a, S.dtype, chunk_size, divide, Q, K, V, y):
        before, last = S[rows], None
        for a, views in blocks:
            if a.n is None and a.up.shape not in divided:
                divided[a.up.shape] = _Divided(before, *views[1:3])
            states, total = (divided[a.up.shape] if a.n is None else _masked)(a, before, last, *views)
            before, last = states[-1], a.last
            sums.append(total)
            if keep:
                kept.append(states.clone())
        _after(before, last, out=S[rows])
    return y, S.flatten(1, 2), math.isfinite(torch.stack([*sums, S.sum()]).sum().item()), kept


class _Divided:
    """The forward pass of some chunks by head where decays are divided out: memory and views for all blocks alike.

    The heads of a group differ in v alone: their v stand side by side as the columns of one matrix, as their states do.
    Making the views anew for every block would take about as long as one of its matrix products.
    """

    def __init__(self, S: Tensor, K: Tensor, V: Tensor) -> None:
        self.Q, v = S.new_empty(K.shape), S.new_empty(V.transpose(3, 4).shape)  # (c, b, g, L, h/g, d_v)
        memory = S.new_empty(max(K.numel(), V.numel()))  # y lies where k lay: once k has met q and v it is not needed
        self.K, y = memory[: K.numel()].view(K.shape), memory[: V.numel()].view(v.shape)
        self.V, self.y = v.transpose(3, 4), y.transpose(3, 4)  # (c, b, g, h/g, L, d_v)
        self.q, self.k = _matrices(self.Q), _matrices(self.K)  # (c·b·g, L, d_k)
        self.v, self.out = (x.flatten(4).flatten(0, 2) for x in (v, y))  # (c·b·g, L, h/g·d_v)
        self.P = S.new_empty(*self.q.shape[:2], self.q.shape[1])

        states = S.new_empty(len(K) + 1, *S.shape[:2], S.shape[3], S.shape[2], S.shape[4])
        self.states = states.transpose(3, 4)  # (c + 1, b, g, h/g, d_k, d_v)
        self.before, self.after = (x.flatten(4).flatten(0, 2) for x in (states[:-1], states[1:]))
        self.steps = list(zip(states[:-1].unbind(0), states[1:].unbind(0), strict=True))

    def __call__(
        self, a: _Decays, S: Tensor, last: Tensor | None, Q: Tensor, K: Tensor, V: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Write y; returns the states, S · last before the first chunk, and the sum of y before its last factor.

        The next call writes over the states.
        """
        self.K.copy_(K)
        torch.mul(V, a.down, out=self.V)
        _after(S, last, out=self.states[0])
        torch.bmm(self.k.mT, self.v, out=self.after)
        for before, after in self.steps:
            after.add_(before)
        self.Q.copy_(Q)
        torch.bmm(self.q, self.k.mT, out=self.P).tril_()
        torch.bmm(self.P, self.v, out=self.out).baddbmm_(self.q, self.before)
        torch.mul(self.y, a.up, out=y)
        return self.states, self.out.sum()


def _masked(
    a: _Decays, S: Tensor, last: Tensor | None, Q: Tensor, K: Tensor, V: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """What `_Divided` does, for any decays: every head has a mask of its own."""
    k, q = (S.new_empty(x.shape).copy_(x) for x in (K, Q))  # (c, b, g, 1, L, d_k)
    v = _gathered(V, a.down)  # (c, b, g, h/g, L, d_v)

    scores = torch.bmm(_matrices(q), _matrices(k).mT).view(*k.shape[:-1], -1)
    P = a.mask().mul_(scores)  # (c, b, g, h/g, L, L)
    out = torch.bmm(_matrices(P), _matrices(v))
    del scores, P  # their memory is in the cache

    states = S.new_empty(len(K) + 1, *S.shape)
    _after(S, last, out=states[0])
    torch.bmm(_matrices(_scaled(k, a.to_end)).mT, _matrices(v), out=_matrices(states[1:]))  # what each chunk adds
    a.add_up(states)
    out.baddbmm_(_matrices(_scaled(q, a.from_start)), _matrices(states[:-1]))
    torch.mul(out.view(v.shape), a.up, out=y)
    return states, out.sum()


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
) -> None:
    """Write dQ, dK, dV and dlog_a, of some chunks by head.

    dS is the gradient by the state after them, and becomes that by the state in front of them. In each chunk, with
    P = mask ∘ Q Kᵀ, v and dy scaled by the fractional parts, u = 2^n, w = what is left at the chunk's end, S the state
    before and D the gradient by that after:

        G = mask ∘ (dy vᵀ),    dQ = G K + (u ∘ dy) Sᵀ,    dK = Gᵀ Q + w ∘ (v Dᵀ),    dv = Pᵀ dy + (w ∘ K) D
    """
    v, dout = _gathered(V, a.down), _gathered(dy, a.up)
    per_head = (*v.shape[:-1], K.shape[-1])
    k, q = (x.to(states.dtype).expand(per_head).contiguous() for x in (K, Q))
    k_end, dout_start = (x if factor is None else x * factor for x, factor in ((k, a.to_end), (dout, a.from_start)))

    dstates = torch.empty_like(states, memory_format=torch.contiguous_format)
    _after(dS, a.last, out=dstates[-1])
    torch.bmm(_matrices(q).mT, _matrices(dout_start), out=_matrices(dstates[:-1]))
    a.add_up(dstates, reverse=True)

    dq = (_matrices(dout_start) @ _matrices(states[:-1]).mT).view(per_head)
    dk = (_matrices(v) @ _matrices(dstates[1:]).mT).view(per_head)
    dk = dk if a.to_end is None else dk.mul_(a.to_end)
    reads, writes = (q * dq).sum(-1), (k * dk).sum(-1)  # of the state before, to the state after: (c, b, g, h/g, L)

    P, G = _matrices(q) @ _matrices(k).mT, _matrices(dout) @ _matrices(v).mT
    P = P.tril_() if a.n is None else P.mul_(_matrices(a.mask()))
    pairs = P * G  # what each token reads of each before it
    G = G.tril_() if a.n is None else G.mul_(_matrices(a.mask()))
    dq.flatten(0, 3).baddbmm_(G, _matrices(k))
    dk.flatten(0, 3).baddbmm_(G.mT, _matrices(q))
    dv = _matrices(k_end) @ _matrices(dstates[1:])
    dv.baddbmm_(P.mT, _matrices(dout))

    # a_t is a factor of what any token from t on reads of any token before t, and of the states' reads, writes and
    # decays across t. Summing just these, instead of a difference of larger sums, keeps a small gradient exact.
    across = torch.cumsum(pairs, -1, out=G).tril_(-1)  # [i, t - 1]: what i reads of all before t
    dlog = reads.flip(-1).cumsum(-1).flip(-1)
    dlog[..., 1:] += (writes.cumsum(-1) + across.sum(-2).view_as(writes))[..., :-1]
    held = dstates[1:] * states[:-1]
    dlog += (held if a.total is None else held.mul_(a.total)).sum((-2, -1))[..., None]

    torch.mul(dv.view(v.shape), a.down, out=dV)
    dQ.copy_(dq.sum_to_size(dQ.shape))
    dK.copy_(dk.sum_to_size(dK.shape))
    dlog_a.copy_(dlog[..., None])
    dS.copy_(dstates[0])
