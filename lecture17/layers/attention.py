"""Causal softmax attention: the block that keeps everything. Introduced in 04a_torch."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mixer import Mixer, angles, check_even, count_heads, rotate


class Cache(NamedTuple):
    """Keys and values of all tokens so far: the only cache in this package that grows."""

    k: Tensor  # (batch, heads, tokens so far, head_dim)
    v: Tensor


class Attention(Mixer):
    """Causal softmax attention with a cache of keys and values.

        y_t = W_o Σ_{j ≤ t} softmax_j(q_t·k_j / √head_dim) v_j,      per head

    With rope=True queries and keys are rotated by their position, so that q_t·k_j depends on t - j.
    x, y: (batch, time, d_model) with d_model = heads · head_dim.
    Sources: Vaswani et al., arXiv 1706.03762, Section 3.2; RoPE: Su et al., arXiv 2104.09864, Section 3.
    """

    def __init__(self, d_model: int, head_dim: int = 64, rope: bool = False):
        super().__init__(d_model)
        self.n_heads = count_heads(head_dim, d_model=d_model)
        self.head_dim, self.rope = head_dim, rope
        if rope:
            check_even("rope=True rotates pairs", head_dim=head_dim)
        self.in_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)

    def init_cache(self, batch: int) -> Cache:
        none = self.in_proj.weight.new_zeros(batch, self.n_heads, 0, self.head_dim)
        return Cache(none, none)

    def mix(self, x: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        qkv = self.in_proj(x).unflatten(-1, (3, self.n_heads, self.head_dim))  # (b, t, 3, h, p)
        q, k, v = qkv.transpose(1, 3).unbind(2)  # (b, h, t, p) each
        y, cache = attend(q, k, v, cache, self.rope)
        return self.out_proj(y.transpose(1, 2).flatten(2)), cache


def attend(q: Tensor, k: Tensor, v: Tensor, cache: Cache, rope: bool) -> tuple[Tensor, Cache]:
    """Attention of the tokens that follow those in the cache, (batch, heads, time, head_dim); returns (y, cache)."""
    seen, time = cache.k.shape[2], q.shape[2]
    if rope:
        pair = torch.arange(0, q.shape[-1], 2, dtype=torch.float64, device=q.device)
        angle = angles(seen, time, pair / q.shape[-1])  # (t, p/2)
        q, k = rotate(q, angle), rotate(k, angle)
    k, v = torch.cat([cache.k, k], dim=2), torch.cat([cache.v, v], dim=2)  # (b, h, seen + t, p)
    # Only several tokens after a cache need the mask written out: row i sees the cache and tokens 0 … i.
    mask = torch.ones(time, seen + time, dtype=torch.bool, device=q.device).tril(seen) if seen and time > 1 else None
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=seen == 0), Cache(k, v)
