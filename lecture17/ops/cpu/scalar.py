"""One decay per head and token: the core of ssd, retention, linear_attention and mamba3, made fast on a CPU.

    S_t = a_t S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t        (a_t = e^{log_a_t})

The four steps of the SSD algorithm (arXiv 2405.21060, Section 6) as matrix products over a block of chunks.

How the decays stay accurate. With c_i = log₂ a_1 + … + log₂ a_i, the decay from j to i is 2^{c_i - c_j}, but the
difference of two rounded sums is off by the rounding of the larger. So c is summed in float64, and there are two paths:

Where no c of a block is below LOWEST_SUM, y is multiplied by 2^{c_i} and v by 2^{-c_j}. What is left is attention
without decays: the mask is a triangle, states add up, and the heads of a group share their scores. c counts from the
start of the block, and the state after its last token is scaled back by the decay of the whole block.

Otherwise c is summed within each chunk and split, c_i = n_i + f_i with n_i a whole number and |f_i| ≤ 1/2:

    L = diag(2^{f_i}) [2^{n_i - n_j}] diag(2^{-f_j})

The mask in the middle is exact, and the outer factors, which multiply y and v, are within a factor √2 of 1. A decay too
small for the type, or 0, counts as 2^floor, which is 0 in that type too. Blocks where 2^{-c_j} v overflows although y
does not also take this path.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..validation import state_dtype
from .blocks import Block, Listing

# The lowest sum of log₂ decays in a block for which 2^{-sum} is computed: 2^{±sum} is far from overflow and from 0.
LOWEST_SUM = -64.0


class _Decays(NamedTuple):
    """The decays of a block, (chunks, b, h, length, 1), factored along one of the two paths.

    None stands for factors of 1, and n = None for a mask that is only a triangle.
    """

    up: Tensor  # factor of y
    down: Tensor  # of v
    last: Tensor | None = None  # of the state after the block: (b, h, 1, 1)
    n: Tensor | None = None
    from_start: Tensor | None = None  # of q where it meets the state
    to_end: Tensor | None = None  # of k there
    total: Tensor | None = None  # of the state, in each chunk: (chunks, b, h, 1, 1)

    def mask(self) -> Tensor:
        """[2^{n_i - n_j}] for i ≥ j, else 0: (chunks·b·h, length, length)."""
        assert self.n is not None
        return _matrices((self.n - self.n.mT).exp2_().tril_())


def _exact(log_a: Tensor, dtype: torch.dtype) -> _Decays:
    floor = 1.5 * math.log2(torch.finfo(dtype).tiny)  # below the subnormal numbers too
    c = log_a.to(torch.float64, copy=True, memory_format=torch.contiguous_format)
    c = c.div_(math.log(2)).clamp_(min=floor).cumsum_(-1)[..., None]
    n = c.round()
    f, n = (c - n).to(dtype), n.to(dtype)
    n_L, f_L = n[..., -1:, :], f[..., -1:, :]
    return _Decays(f.exp2(), f.neg().exp2_(), None, n, n.exp2(), (n_L - n + f_L).exp2_(), (n_L + f_L).exp2_())


def _matrices(x: Tensor) -> Tensor:
    """All but the last two axes as one: what torch.bmm takes."""
    return x.flatten(0, -3)


class Scalar(Block):
    """The heads of a group differ only in v: their v are side by side as columns of one matrix, and so are the states.

    Making the views for every block would take about as long as one of its matrix products.
    """

    def __init__(self, listing: Listing, S: Tensor, V: Tensor, log_a: Tensor, K: Tensor, Q: Tensor, _: _Decays) -> None:
        c, b, groups, L, d_k = K.shape
        r, d_v = V.shape[2] // groups, V.shape[4]
        n = c * b * groups
        self.listing = listing
        self.all_states: Tensor | None = None  # of the block last computed by `forward`
        self.of_head: Scalar | None = None  # the same with each head as a group of its own
        memory = S.new_empty(n * L * max(d_k, r * d_v))  # of k, and of y: k is not needed once it has met q and v
        self.q, self.k = S.new_empty(n, L, d_k), memory[: n * L * d_k].view(n, L, d_k)
        self.v, self.y = S.new_empty(n, L, r * d_v), memory[: V.numel()].view(n, L, r * d_v)
        self.Q, self.K = self.q.view(Q.shape), self.k.view(K.shape)
        by_head = c, b, groups, L, r, d_v
        self.V, self.Y = self.v.view(by_head).transpose(3, 4), self.y.view(by_head).transpose(3, 4)
        self.P = S.new_empty(n, L, L)
        states = S.new_empty(c + 1, b, groups, d_k, r, d_v)
        self.before, self.after = states[:-1].view(n, d_k, r * d_v), states[1:].view(n, d_k, r * d_v)
        self.states = states.transpose(3, 4)  # (c + 1, b, g, r, d_k, d_v)
        self.steps = list(zip(self.states[:-1], self.states[1:], strict=True))

    @staticmethod
    def split(n: int, *sequences: Tensor | None) -> Iterator[tuple[Any, ...]]:
        """The pieces of each block, and after them its decays, divided out where they are mild."""
        V, log_a = sequences[:2]
        assert V is not None
        assert log_a is not None
        dtype = state_dtype(V.dtype)
        c = log_a.to(torch.float64, memory_format=torch.contiguous_format).cumsum(-1)
        totals = pad(c[..., -1], (*(0, 0) * 2, 0, -len(c) % n)).unflatten(0, (-1, n))  # (blocks, n, b, h)
        last = totals.sum(1)
        start = (totals.cumsum(1) - totals).flatten(0, 1)[: len(c)]  # sums at the start of each chunk
        up = (start[..., None] + c).exp_().to(dtype)[..., None]  # may be out of range where it is not used
        decays = up.split(n), up.reciprocal().split(n), last.exp().to(dtype)[..., None, None]
        lowest = last.flatten(1).amin(1).tolist()
        for pieces, low, *factors in zip(Block.split(n, *sequences), lowest, *decays, strict=True):
            mild = low >= LOWEST_SUM * math.log(2)
            yield *pieces, _Decays(*factors) if mild else _exact(pieces[1], dtype)

    def forward(
        self, S: Tensor, y: Tensor, V: Tensor, log_a: Tensor, K: Tensor, Q: Tensor, a: _Decays
    ) -> tuple[Tensor, float]:
        if a.n is not None and K.shape[2] < V.shape[2]:  # every head has a mask of its own
            K, Q = (x.repeat_interleave(V.shape[2] // K.shape[2], 2) for x in (K, Q))
            self.of_head = self.of_head or Scalar(self.listing, S, V, log_a, K, Q, a)
            self.all_states = self.of_head.states
            return self.of_head.forward(S, y, V, log_a, K, Q, a)
        self.all_states = self.states
        by_head = *K.shape[:3], -1, K.shape[3], V.shape[4]
        of_decays = *by_head[:5], 1
        self.K.copy_(K)
        torch.mul(V.view(by_head), a.down.view(of_decays), out=self.V)
        self.Q.copy_(Q)
        self.states[0].copy_(S.view_as(self.states[0]))
        torch.bmm(self.q, self.k.mT, out=self.P)
        if a.from_start is None or a.to_end is None:
            self.P.tril_()
        else:
            self.P.mul_(a.mask())
            self.Q.mul_(a.from_start)
            self.K.mul_(a.to_end)
        torch.bmm(self.k.mT, self.v, out=self.after)  # what each chunk adds
        totals = repeat(None) if a.total is None else a.total[:, :, :, None]
        for (before, after), total in zip(self.steps, totals, strict=False):
            after.add_(before) if total is None else after.addcmul_(total, before)
        torch.bmm(self.P, self.v, out=self.y).baddbmm_(self.q, self.before)
        number, after = (self.y.sum() + self.states[-1].sum()).item(), self.states[-1].flatten(1, 2)
        if a.n is None and not math.isfinite(number):
            S = self.states[0].flatten(1, 2).clone()  # the argument S may have been overwritten
            results = self.forward(S, y, V, log_a, K, Q, _exact(log_a, S.dtype))
            self.all_states = None
            return results
        torch.mul(self.Y, a.up.view(of_decays), out=y.view(by_head))
        return after if a.last is None else after * a.last, number

    def kept(self, S: Tensor) -> Tensor:
        """All states between chunks; or S alone where a number was too large, which tells the backward pass so."""
        return S if self.all_states is None else self.all_states.clone()

    def backward(self, S: Tensor, dS: Tensor, grads: Sequence[Tensor], dy: Tensor, *pieces: Any) -> Tensor:
        """In each chunk, with P = mask ∘ Q Kᵀ, v and dy scaled by `down` and `up`, u = `from_start`, w = `to_end`,
        S the state before it and D the gradient of the state after it:

            G = mask ∘ (dy vᵀ),    dQ = G K + (u ∘ dy) Sᵀ,    dK = Gᵀ Q + w ∘ (v Dᵀ),    dv = Pᵀ dy + (w ∘ K) D
        """
        V, log_a, K, Q, a = pieces
        if S.dim() == dS.dim():
            a = _exact(log_a, S.dtype)
            self.forward(S, torch.empty_like(dy), V, log_a, K, Q, a)
            S = self.kept(S)
        v, dout = (torch.mul(x, factor, out=S.new_empty(x.shape)) for x, factor in ((V, a.down), (dy, a.up)))
        per_group = V.shape[2] // K.shape[2]
        q, k = (
            x.to(S.dtype).repeat_interleave(per_group, 2) if per_group > 1 else x.to(S.dtype).contiguous()
            for x in (Q, K)
        )
        k_end, dout_start = (x if factor is None else x * factor for x, factor in ((k, a.to_end), (dout, a.from_start)))

        states = S.flatten(2, 3).contiguous()
        dstates = torch.empty_like(states)
        dstates[-1] = dS if a.last is None else dS * a.last
        torch.bmm(_matrices(q).mT, _matrices(dout_start), out=_matrices(dstates[:-1]))
        totals = repeat(None) if a.total is None else a.total.flip(0)
        for (after, before), total in zip(pairwise(reversed(dstates.unbind())), totals, strict=False):
            before.add_(after) if total is None else before.addcmul_(total, after)

        dq = (_matrices(dout_start) @ _matrices(states[:-1]).mT).view(q.shape)
        dk = (_matrices(v) @ _matrices(dstates[1:]).mT).view(k.shape)
        dk = dk if a.to_end is None else dk.mul_(a.to_end)
        reads, writes = (q * dq).sum(-1), (k * dk).sum(-1)  # of the state before, to the state after: (c, b, h, L)

        P, G = _matrices(q) @ _matrices(k).mT, _matrices(dout) @ _matrices(v).mT
        P = P.tril_() if a.n is None else P.mul_(a.mask())
        pairs = P * G  # what each token reads from each earlier one
        G = G.tril_() if a.n is None else G.mul_(a.mask())
        _matrices(dq).baddbmm_(G, _matrices(k))
        _matrices(dk).baddbmm_(G.mT, _matrices(q))
        dv = (_matrices(k_end) @ _matrices(dstates[1:])).baddbmm_(P.mT, _matrices(dout))

        # a_t is a factor of what any token from t on reads from any token before t, and of the states' reads, writes
        # and decays across t. Summing just these, without a difference of larger sums, keeps small gradients accurate.
        across = torch.cumsum(pairs, -1, out=G).tril_(-1)  # [i, t - 1]: what i reads from all before t
        dlog = reads.flip(-1).cumsum(-1).flip(-1)
        dlog[..., 1:] += (writes.cumsum(-1) + across.sum(-2).view_as(writes))[..., :-1]
        held = (dstates[1:] * states[:-1]).sum((-2, -1), keepdim=True)
        dlog += (held if a.total is None else held * a.total)[..., 0]
        if a.n is None and not dlog.sum().isfinite():
            return self.backward(states[0], dS, grads, dy, V, log_a, K, Q, a)

        dV, dlog_a, dK, dQ = grads
        torch.mul(dv.view(v.shape), a.down, out=dV)
        dlog_a.copy_(dlog)
        dK.copy_(dk if per_group == 1 else dk.unflatten(2, (-1, per_group)).sum(3))
        dQ.copy_(dq if per_group == 1 else dq.unflatten(2, (-1, per_group)).sum(3))
        return dstates[0]
