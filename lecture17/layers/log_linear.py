"""The Mamba-2 block with log-linear attention as its core. Introduced in 03e_family_since."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import log_linear
from .mamba2 import Mamba2
from .mixer import ConvCache, over_time


class LogLinearMamba2(Mamba2):
    """The Mamba-2 block, in which a token weighs the levels of the past.

        λ = softplus(Λ ∘ W_λ u),     y = LogLinear(Δ x, log_a, B, C, λ) + D x

    and the rest as in `Mamba2`. u: (batch, time, d_model); Λ: (heads, n_levels), at first 1. At most 2^{n_levels - 1}
    tokens can be read, and the cache has a state for each bit of their number that is 1.

    As in flash-linear-attention's `LogLinearMamba2` (15 levels, for 16,384 tokens), where W_λ is part of W_in.
    Source: Guo et al., arXiv 2506.04761, Section 3.
    """

    def __init__(self, d_model: int, *sizes: Any, n_levels: int = 15, **more: Any):
        super().__init__(d_model, *sizes, **more)
        self.lam_proj = nn.Linear(d_model, self.n_heads * n_levels, bias=False)
        self.L = nn.Parameter(torch.ones(self.n_heads, n_levels))

    def init_cache(self, batch: int) -> ConvCache:
        empty = self.zeros(batch, self.n_heads, 0, self.d_state, self.head_dim)
        return ConvCache(self.conv1d.init_window(batch), (empty, 0))

    def scan(self, u: Tensor, x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Any) -> tuple[Tensor, Any]:
        B, C = (M.repeat_interleave(self.n_heads // self.n_groups, 2) for M in (B, C))  # (b, t, h, n)
        lam = F.softplus(self.L * self.lam_proj(u).unflatten(-1, self.L.shape))  # (b, t, h, levels)
        return over_time(log_linear, C, B, x, log_a, lam, state=state, chunk_size=self.chunk_size)
