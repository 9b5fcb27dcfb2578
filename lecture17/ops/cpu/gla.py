"""One decay per key: gated linear attention, with gates divided out where they are mild."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .blocks import Block

# The largest sum of log₂ gates for which 2^{±sum} is computed: far from overflow, and rounded by less than 1e-6.
LARGEST_SUM = 30.0


class GLA(Block):
    """With c the sums of log₂ gates from the middle of the chunk, the scores are one product of 2^c ∘ Q and 2^{-c} ∘ K.

    Where one of the factors comes near overflow, the listing computes the block.
    """

    LOOKS_AT = ("log_alpha",)
    LONGEST_CHUNK = 32  # so few tokens that their gates seldom leave the range of floats

    def form(self, *pieces: Any) -> Callable[..., tuple[Tensor, Tensor]]:
        """By the sums from the middle to both ends, the largest and the smallest."""
        log_w = pieces[3]
        L = log_w.shape[-2]
        ends = log_w[..., : L // 2 + 1, :].sum(-2), log_w[..., L // 2 + 1 :, :].sum(-2)
        mild = min(x.amin().item() for x in ends) >= -LARGEST_SUM * math.log(2)
        return divided if mild else self.exact


def divided(*pieces_and_state: Any) -> tuple[Tensor, Tensor]:
    """y and the state after some chunks, (chunks, b, h, L, d)."""
    Q, K, V, log_w, S = pieces_and_state
    L, V, log_w = Q.shape[-2], V.contiguous(), log_w.contiguous()
    low = torch.ones(L, L, dtype=S.dtype).tril() / math.log(2)
    decay = ((low - low[L // 2]) @ log_w).exp2()
    q, k = decay * Q, decay.reciprocal() * K
    start, end = log_w[..., : L // 2 + 1, :].sum(-2, keepdim=True).exp(), decay[..., -1:, :]
    scores = (q @ k.mT).tril_()
    before, after = _States.apply(k * end, V, (start * end).mT, S)
    y = torch.baddbmm((scores @ V).flatten(0, 2), (q * start).flatten(0, 2), before.flatten(0, 2))
    return y.view_as(V), after


class _States(torch.autograd.Function):
    """From keys and values, (chunks, b, h, L, d), to the states before each chunk and after the last."""

    @staticmethod
    def forward(ctx: Any, k: Tensor, v: Tensor, whole: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        states = S.new_empty(len(k) + 1, *S.shape)
        states[0] = S
        torch.bmm(k.flatten(0, 2).mT, v.flatten(0, 2), out=states[1:].flatten(0, 2))
        for before, after, decay in zip(states[:-1], states[1:], whole, strict=True):
            after.addcmul_(decay, before)
        ctx.save_for_backward(k, v, whole, states)
        return states[:-1], states[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dbefore: Tensor, dlast: Tensor) -> tuple[Tensor, ...]:
        k, v, whole, states = ctx.saved_tensors
        dstates = torch.cat([dbefore, dlast[None]])
        for before, after, decay in reversed(list(zip(dstates[:-1], dstates[1:], whole, strict=True))):
            before.addcmul_(decay, after)
        dafter = dstates[1:]
        return v @ dafter.mT, k @ dafter, (dafter * states[:-1]).sum(-1, keepdim=True), dstates[0]
