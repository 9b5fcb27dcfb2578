"""The operands of `Delta` for the delta rule, with decays divided out, and their gradients.

A token finds f_t = β_t (a_t S_{t-1}ᵀ k_t - v_t), and S_t = a_t S_{t-1} - k_t f_tᵀ. M is the product of H = [β ∘ K; Q],
multiplied by the decays from the start of the chunk, and G = K, divided by them; W = g ∘ G.

K, V and β may have n_h rows for each of Q and log_a: steps of DeltaProduct, which share their token's decay.
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
        *batch, steps, d_k = K.shape
        L = Q.shape[-2]
        self.by_token = S.new_empty(*batch, L, steps // L, 1)
        self.start, self.at_step = self.by_token[..., 0, :], self.by_token.flatten(-3, -2)
        self.rows = steps, L
        H, W = S.new_empty(*batch, steps + L, d_k), S.new_empty(*batch, steps, d_k)
        super().__init__(listing, S, H, W, self.start[..., -1:, :], V.shape[-1], steps // L)

    def write(self, Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None) -> bool:
        sums = torch.zeros_like(Q[..., 0]) if log_a is None else log_a.cumsum(-1)
        if sums[..., -1].amin() < delta.LOWEST_SUM:
            return False
        self.by_token.copy_(sums.exp()[..., None, None])
        beta, (finds, reads) = beta[..., None], self.H.split(self.rows, -2)
        self.W.copy_(K)
        torch.mul(self.W, beta * self.at_step, out=finds)
        torch.mul(Q, self.start, out=reads)
        torch.mul(V, -beta, out=self.Y)
        self.W.div_(self.at_step)
        self.score()
        self.W.mul_(self.g)
        return True

    def write_gradients(self, grads: Sequence[Any], pieces: Sequence[Any], *of_operands: Any) -> None:
        """With c the sums of log decays from the start: H has the factor e^c, G has e^{-c}, and g is the last e^c."""
        Q, K, V, beta, _ = pieces
        dY, _, dH, dM, dW, dg = of_operands
        g, beta = self.g, beta[..., None]
        dM = dM.mul_(self.mask / g).flatten(0, 2)  # W = g ∘ G
        dH = dH.flatten(0, 2).baddbmm_(dM, self.w).view_as(self.H)
        dG = torch.bmm(dM.mT, self.h).view_as(dW).add_(dW).mul_(g)
        dfound, dQ = dH.split(self.rows, -2)  # of β ∘ K and Q
        dfound.mul_(self.at_step)
        dQ.mul_(self.start)
        dk = dG / self.at_step  # of K in G
        by_beta = (dfound * K).sum(-1, keepdim=True)
        of_steps = beta * by_beta - (dk * K).sum(-1, keepdim=True)
        dc = (dQ * Q).sum(-1, keepdim=True) + of_steps.view_as(self.by_token).sum(-2)
        dc[..., -1:, :] += (dW * self.W).sum((-2, -1), keepdim=True).addcmul_(dg, g)
        of_Q, of_K, of_V, of_beta, of_log_a = grads
        of_Q.copy_(dQ)
        of_K.copy_(dk.addcmul_(dfound, beta))
        torch.mul(dY, -beta, out=of_V)
        of_beta.copy_((by_beta - (dY * V).sum(-1, keepdim=True))[..., 0])
        if of_log_a is not None:
            of_log_a.copy_(dc.flip(-2).cumsum(-2).flip(-2)[..., 0])
