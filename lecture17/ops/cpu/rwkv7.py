"""The operands of `Delta` for RWKV-7, with decays divided out, and their gradients.

A token finds S_{t-1}ᵀ κ̂_t. M is the product of H = [κ̂; r], multiplied by the decays from the start of the chunk, and
G = [a ∘ κ̂; k], divided by them; W = g ∘ G.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import delta
from .blocks import Listing


class RWKV7(delta.Delta):
    LOOKS_AT = ("log_w", "kappa")

    def __init__(self, listing: Listing, S: Tensor, r: Tensor, *pieces: Tensor) -> None:
        *batch, h, L, d_k = r.shape
        # Time before heads in memory, as in the arguments.
        self.decay, self.growth = S.new_empty(2, *batch, L, h, d_k).transpose(-2, -3)
        self.doublings = doublings(self.decay)
        self.whole = self.decay[..., -1:, :]
        H, W = S.new_empty(2, *batch, h, 2 * L, d_k)
        super().__init__(listing, S, H, W, S.new_empty(*batch, h, d_k, 1), S.shape[-1])
        self.first, self.later, self.reading = H.split((1, L - 1, L), -2)
        self.removals, self.writes = W.chunk(2, -2)

    def write(self, r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor) -> bool:
        torch.exp(log_w, out=self.decay)
        for second, end_of_first in self.doublings:
            second.mul_(end_of_first)
        if self.whole.amin() < math.exp(delta.LOWEST_SUM):
            return False
        torch.reciprocal(self.decay, out=self.growth)
        self.first.copy_(kappa[..., :1, :])
        torch.mul(self.decay[..., :-1, :], kappa[..., 1:, :], out=self.later)
        torch.mul(self.decay, r, out=self.reading)
        torch.mul(self.growth, a, out=self.removals).mul_(kappa)
        torch.mul(self.growth, k, out=self.writes)
        self.V.copy_(v)
        self.g.copy_(self.whole.mT)
        self.score()
        self.W.mul_(self.whole)
        return True

    def write_gradients(self, grads: Sequence[Any], pieces: Sequence[Any], *of_operands: Any) -> None:
        """With c the sums of log decays from the start: H has the factor e^c, G has e^{-c}, and g is the last e^c."""
        r, _, k, _, kappa, a = pieces
        _, dV, dH, dM, dW, dg = of_operands
        decay, growth, g, L = self.decay, self.growth, self.whole, r.shape[-2]
        dM = dM.mul_(self.mask)
        dH.addcmul_(dM @ self.W, growth[..., -1:, :])  # W = g ∘ G
        dG = torch.addcmul(dM.mT @ self.H, dW, g)
        dG.unflatten(-2, (2, L)).mul_(growth[..., None, :, :])
        dremoved, dk = dG.chunk(2, -2)
        dfound, dread = dH.chunk(2, -2)
        dlater = dfound[..., 1:, :] * decay[..., :-1, :]
        dr, da, dkappa = dread * decay, dremoved * kappa, dremoved * a
        dkappa[..., :1, :] += dfound[..., :1, :]
        dkappa[..., 1:, :] += dlater
        dc = (dr * r).addcmul_(dk, k, value=-1).addcmul_(da, a, value=-1)
        dc[..., :-1, :].addcmul_(dlater, kappa[..., 1:, :])
        dc[..., -1:, :] += (dW * self.W).sum(-2, keepdim=True).addcmul_(dg.mT, g)
        for place, grad in zip(grads, (dr, dc.new_ones(L, L).triu() @ dc, dk, dV, dkappa, da), strict=True):
            place.copy_(grad)


def doublings(x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs of views of x: (..., L, d). Multiply the first of each pair by the second, and x[..., t, :] is x_1 … x_t.

    Of two neighboring blocks of 1, 2, 4, … tokens, a pair holds all of the second and the last token of the first.
    """
    L, size, views = x.shape[-2], 1, []
    while size < L:
        whole = L - L % (2 * size)
        pairs = x[..., :whole, :].unflatten(-2, (-1, 2, size))
        views.append((pairs[..., 1, :, :], pairs[..., 0, -1:, :]))
        if whole + size < L:
            views.append((x[..., whole + size :, :], x[..., whole + size - 1, None, :]))
        size *= 2
    return views
