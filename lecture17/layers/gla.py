"""The block of gated linear attention. Introduced in 03c_family."""

import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import gla
from .mixer import Mixer, check_even, count_heads, over_time


class GLA(Mixer):
    """Gated linear attention: every key dimension decays by a gate that the token sets.

        q, k, v = W_q x / √d_k, W_k x, W_v x,     α = σ(W_2 W_1 x + b)^{1/16}       W_1 has rank 16
        y = RMSNorm(GLA(q, k, v, α)) per head,      out = W_o (SiLU(W_g x) ∘ y)

    The power 1/16 keeps gates near 1, so that the state forgets slowly. Keys have half as many dimensions as values,
    d_k = head_dim / 2. x, out: (batch, time, d_model) with d_model = heads · head_dim.
    Source: Yang et al., arXiv 2312.06635, Section 4; the scale of q as in flash-linear-attention 0.5.
    """

    def __init__(self, d_model: int, head_dim: int = 64):
        super().__init__(d_model)
        self.n_heads = count_heads(head_dim, d_model=d_model)
        self.head_dim = head_dim
        check_even("keys have half as many dimensions as values", head_dim=head_dim)
        self.q_proj = nn.Linear(d_model, d_model // 2, bias=False)
        self.k_proj = nn.Linear(d_model, d_model // 2, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.g_proj = nn.Linear(d_model, d_model, bias=False)
        self.alpha_proj = nn.Sequential(nn.Linear(d_model, 16, bias=False), nn.Linear(16, d_model // 2))
        self.norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)

    def init_cache(self, batch: int) -> Tensor:
        return self.zeros(batch, self.n_heads, self.head_dim // 2, self.head_dim)

    def mix(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        q = self.q_proj(x).unflatten(-1, (self.n_heads, -1)) * (self.head_dim // 2) ** -0.5  # (b, t, h, p/2)
        k = self.k_proj(x).unflatten(-1, (self.n_heads, -1))  # (b, t, h, p/2)
        v = self.v_proj(x).unflatten(-1, (self.n_heads, -1))  # (b, t, h, p)
        log_alpha = F.logsigmoid(self.alpha_proj(x).to(cache.dtype)) / 16
        log_alpha = log_alpha.unflatten(-1, (self.n_heads, -1))  # (b, t, h, p/2)
        y, cache = over_time(gla, q, k, v, log_alpha, state=cache, chunk_size=64)  # (b, t, h, p)
        y = self.norm(y).flatten(2)  # (b, t, d)
        return self.out_proj(F.silu(self.g_proj(x)) * y), cache
