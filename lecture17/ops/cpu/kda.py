"""The operands of `Delta` for Kimi Delta Attention, with a decay per key divided out, and their gradients.

A token finds f_t = β_t (S_{t-1}ᵀ (α_t ∘ k_t) - v_t), and S_t = diag(α_t) S_{t-1} - k_t f_tᵀ. M is the product of
H = [β ∘ K; Q], multiplied by the decays from the start of the chunk, and G = K, divided by them; W = g ∘ G.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import delta
from .blocks import Listing, OverBlocks, from_chunks, in_chunks
from .rwkv7 import doublings

# The smallest decay of a chunk that is divided out. It is a product of decays, as exact as they are, and not e to a
# rounded sum: what limits it is overflow. Its inverse leaves room for keys and queries of size 1e10.
SMALLEST = 1e-24
SUB_CHUNK = 8  # tokens, in whose shorter time stronger decays stay above that


class KDA(delta.Delta):
    def __init__(
        self, listing: Listing, S: Tensor, Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, beta: Tensor
    ) -> None:
        *batch, h, L, d_k = K.shape
        # Time before heads in memory, as in the arguments.
        self.decay, self.growth = S.new_empty(2, *batch, L, h, d_k).transpose(-2, -3)
        self.doublings = doublings(self.decay)
        self.whole = self.decay[..., -1:, :]
        H, W = S.new_empty(*batch, h, 2 * L, d_k), S.new_empty(*batch, h, L, d_k)
        super().__init__(listing, S, H, W, S.new_empty(*batch, h, d_k, 1), V.shape[-1])

    def write(self, Q: Tensor, K: Tensor, V: Tensor, log_alpha: Tensor, beta: Tensor) -> bool:
        torch.exp(log_alpha, out=self.decay)
        for second, end_of_first in self.doublings:
            second.mul_(end_of_first)
        if self.whole.amin() < SMALLEST:
            return False
        torch.reciprocal(self.decay, out=self.growth)
        beta, (finds, reads) = beta[..., None], self.H.chunk(2, -2)
        torch.mul(self.decay, K, out=finds).mul_(beta)
        torch.mul(self.decay, Q, out=reads)
        torch.mul(self.growth, K, out=self.W)
        torch.mul(V, -beta, out=self.Y)
        self.g.copy_(self.whole.mT)
        self.score()
        self.W.mul_(self.whole)
        return True

    def exact(self, *pieces_and_state: Any) -> tuple[Tensor, Tensor]:
        """y and the state after the block: in chunks of 8 tokens if their decays can be divided out, or by the listing.

        Keys that a model lets forget fast have decays like e^{-3}: too strong for 32 tokens, not for 8.
        """
        *pieces, S = pieces_and_state
        log_alpha = pieces[3]
        length = log_alpha.shape[3]
        if (
            length % SUB_CHUNK
            or length == SUB_CHUNK
            or log_alpha.unflatten(3, (-1, SUB_CHUNK)).sum(-2).amin() < math.log(SMALLEST)
        ):
            return super().exact(*pieces_and_state)
        sequences = [from_chunks(x) for x in pieces]
        options = KDA, self.listing, SUB_CHUNK, torch.is_grad_enabled(), len(sequences)
        y, S, _ = OverBlocks.apply(*options, sequences[2], S, *sequences)
        return in_chunks(y, length), S

    def write_gradients(self, grads: Sequence[Any], pieces: Sequence[Any], *of_operands: Any) -> None:
        """With c the sums of log decays from the start: H has the factor e^c, G has e^{-c}, and g is the last e^c."""
        Q, K, V, _, beta = pieces
        dY, _, dH, dM, dW, dg = of_operands
        decay, g, beta, L = self.decay, self.whole, beta[..., None], K.shape[-2]
        dM = dM.mul_(self.mask)
        dH.addcmul_(dM @ self.W, self.growth[..., -1:, :])  # W = g ∘ G
        dH.unflatten(-2, (2, L)).mul_(decay[..., None, :, :])
        dfound, dQ = dH.chunk(2, -2)  # of β ∘ K and Q
        dk = torch.addcmul(dM.mT @ self.H, dW, g).mul_(self.growth)  # of K in G
        dc = dfound * K
        dbeta = dc.sum(-1, keepdim=True) - (dY * V).sum(-1, keepdim=True)
        dc.mul_(beta).addcmul_(dQ, Q).addcmul_(dk, K, value=-1)
        dc[..., -1:, :] += (dW * self.W).sum(-2, keepdim=True).addcmul_(dg.mT, g)
        of_Q, of_K, of_V, of_log_alpha, of_beta = grads
        of_Q.copy_(dQ)
        of_K.copy_(dk.addcmul_(dfound, beta))
        torch.mul(dY, -beta, out=of_V)
        of_log_alpha.copy_(dc.new_ones(L, L).triu() @ dc)
        of_beta.copy_(dbeta[..., 0])
