"""The operands of `Delta` for the delta rule, with decays divided out, and their gradients.

A token finds f_t = β_t (a_t S_{t-1}ᵀ k_t - v_t), and S_t = a_t S_{t-1} - k_t f_tᵀ. M is the product of H = [β ∘ K; Q],
multiplied by the decays from the start of the chunk, and G = K, divided by them; W = g ∘ G.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import delta
from .blocks import Listing


class DeltaRule(delta.Delta):
    def __init__(
        self, listing: Listing, S: Tensor, Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None
    ) -> None:
        *batch, L, d_k = K.shape
        self.start = S.new_empty(*batch, L, 1)
        H, W = S.new_empty(*batch, 2 * L, d_k), S.new_empty(*batch, L, d_k)
        super().__init__(listing, S, H, W, self.start[..., -1:, :], V.shape[-1])

    def write(self, Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None) -> bool:
        sums = torch.zeros_like(beta) if log_a is None else log_a.cumsum(-1)
        if sums[..., -1].amin() < delta.LOWEST_SUM:
            return False
        torch.exp(sums[..., None], out=self.start)
        beta, (finds, reads) = beta[..., None], self.H.chunk(2, -2)
        self.W.copy_(K)
        torch.mul(self.W, beta * self.start, out=finds)
        torch.mul(Q, self.start, out=reads)
        torch.mul(V, -beta, out=self.Y)
        self.W.div_(self.start)
        self.score()
        self.W.mul_(self.g)
        return True

    def write_gradients(self, grads: Sequence[Any], pieces: Sequence[Any], *of_operands: Any) -> None:
        """With c the sums of log decays from the start: H has the factor e^c, G has e^{-c}, and g is the last e^c."""
        Q, K, V, beta, _ = pieces
        dY, _, dH, dM, dW, dg = of_operands
        start, g, beta = self.start, self.g, beta[..., None]
        dM = dM.mul_(self.mask / g).flatten(0, 2)  # W = g ∘ G
        dH = dH.flatten(0, 2).baddbmm_(dM, self.w).view_as(self.H)
        dG = torch.bmm(dM.mT, self.h).view_as(dW).add_(dW).mul_(g)
        dH.unflatten(-2, (2, -1)).mul_(start[..., None, :, :])
        dfound, dQ = dH.chunk(2, -2)  # of β ∘ K and Q
        dk = dG / start  # of K in G
        by_beta = (dfound * K).sum(-1, keepdim=True)
        dc = beta * by_beta + (dQ * Q).sum(-1, keepdim=True) - (dk * K).sum(-1, keepdim=True)
        dc[..., -1:, :] += (dW * self.W).sum((-2, -1), keepdim=True).addcmul_(dg, g)
        of_Q, of_K, of_V, of_beta, of_log_a = grads
        of_Q.copy_(dQ)
        of_K.copy_(dk.addcmul_(dfound, beta))
        torch.mul(dY, -beta, out=of_V)
        of_beta.copy_((by_beta - (dY * V).sum(-1, keepdim=True))[..., 0])
        if of_log_a is not None:
            of_log_a.copy_(dc.flip(-2).cumsum(-2).flip(-2)[..., 0])
