"""The block of DeltaProduct. Introduced in 03e_family_since."""

import torch
from torch import Tensor, nn

from ..ops import delta_product
from .delta_net import GatedDeltaNet
from .mixer import ConvCache, over_time
from .parts import ShortConv, unit


class DeltaProduct(GatedDeltaNet):
    """Gated DeltaProduct: `GatedDeltaNet` with n_h keys, values and β for each token, read after the last of them.

        q, k_1 … k_n, v_1 … v_n = SiLU(conv(W x)),    per head k_i scaled to length 1 and q to 1/√head_dim
        β_1 … β_n = beta_max σ(W_β x),    out = W_o (RMSNorm(GatedDeltaProduct(q, k, v, β, log_a)) ∘ SiLU(W_g x))

    With beta_max = 2 two steps make a rotation: a token can permute three things in a cycle, where DeltaNet swaps two.
    x, out: (batch, time, d_model) with d_model = heads · head_dim.
    Source: Siems et al., arXiv 2502.10297, Section 3; as in flash-linear-attention 0.5, but for its values, which are
    twice as wide as keys.
    """

    def __init__(self, d_model: int, head_dim: int = 64, d_conv: int = 4, beta_max: float = 2.0, n_h: int = 2):
        super().__init__(d_model, head_dim, d_conv, beta_max)
        if n_h < 1:
            raise ValueError(f"n_h is {n_h}: expected at least 1 step a token")
        self.parts = 1, n_h, n_h
        self.in_proj = nn.Linear(d_model, (1 + 2 * n_h) * d_model, bias=False)
        self.conv = ShortConv((1 + 2 * n_h) * d_model, d_conv, bias=False)
        self.beta_proj = nn.Linear(d_model, n_h * self.n_heads, bias=False)

    def mix(self, x: Tensor, cache: ConvCache) -> tuple[Tensor, ConvCache]:
        qkv, window = self.conv(self.in_proj(x), cache.window)
        q, k, v = self.heads(qkv, sum(self.parts)).split(self.parts, 2)  # (b, t, 1 or n_h, h, p)
        y, state = self.read(q[:, :, 0], k, v, x, cache.state)
        return self.out_proj(self.gated(self.norm(y).flatten(2), x)), ConvCache(window, state)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        q, k = unit(q) * self.head_dim**-0.5, unit(k)
        beta = self.beta_max * torch.sigmoid(self.beta_proj(x)).unflatten(-1, (-1, self.n_heads))  # (b, t, n_h, h)
        return over_time(delta_product, q, k, v, beta, self.log_decay(x), state=state, chunk_size=64)
