"""Causal softmax attention: the block that keeps everything, or a window. Introduced in 04a_torch."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kv_cache import Cache
from .mixer import Mixer, angles, check_even, count_heads, rotate

PIECE = 256  # tokens that attention with a window reads at once


class Attention(Mixer):
    """Causal softmax attention with a cache of keys and values.

        q, k, v = W x,      normed and rotated if asked for
        y_t = Σ_{j ≤ t} softmax_j(q_t·k_j / √head_dim) v_j,      per head;  with a window t - window < j ≤ t
        out = W_o y,      with output_gate W_o (y ∘ σ(W_g x))

    rope          rotates pairs of the first rope_dim numbers of queries and keys (None: of all) by position times
                  rope_theta^{-pair / pairs}, so that q_t·k_j depends on t - j. Pairs are (0, 1), (2, 3), … as in the
                  paper; code that pairs i with i + rope_dim / 2 has the rows of W in another order.
    n_kv_heads    heads of keys and values, fewer than those of queries for a smaller cache: query head h reads head
                  h // (n_heads // n_kv_heads)
    window        how many tokens a token sees, itself included; the cache keeps the last window - 1
    qk_norm       RMSNorm of queries and keys: True of each head, "all" of all heads together, as in OLMo

    x, out: (batch, time, d_model); n_heads is d_model / head_dim if not given.
    Sources: Vaswani et al., arXiv 1706.03762, Section 3.2; RoPE: Su et al., arXiv 2104.09864, Section 3; n_kv_heads:
    Ainslie et al., arXiv 2305.13245; window: Beltagy et al., arXiv 2004.05150; qk_norm: Henry et al., arXiv 2010.04245,
    here with RMSNorm instead of length 1; output_gate: Qiu et al., arXiv 2505.06708.
    """

    def __init__(
        self,
        d_model: int,
        head_dim: int = 64,
        rope: bool = False,
        n_heads: int | None = None,
        n_kv_heads: int | None = None,
        window: int | None = None,
        qk_norm: bool | Literal["all"] = False,
        output_gate: bool = False,
        rope_theta: float = 10000.0,
        rope_dim: int | None = None,
    ):
        super().__init__(d_model)
        n_heads = count_heads(head_dim, n_heads, d_model=d_model)
        self.n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        if self.n_kv_heads < 1 or n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads is {n_kv_heads}: expected a divisor of the {n_heads} heads of queries")
        if window is not None and window < 1:
            raise ValueError(f"window is {window}: expected at least 1, the token itself")
        self.n_heads, self.head_dim, self.window = n_heads, head_dim, window
        self.rope, self.rope_theta, self.rope_dim = rope, rope_theta, head_dim if rope_dim is None else rope_dim
        if rope:
            check_even("rope=True rotates pairs", **{"head_dim" if rope_dim is None else "rope_dim": self.rope_dim})
        if not 0 <= self.rope_dim <= head_dim:
            raise ValueError(f"rope_dim is {rope_dim}: expected at most head_dim, {head_dim}")
        if qk_norm not in (False, True, "all"):
            raise ValueError(f'qk_norm is {qk_norm!r}: expected False, True (each head) or "all" (all heads together)')
        queries, keys = n_heads * head_dim, self.n_kv_heads * head_dim
        self.widths = [queries, keys, keys, queries if output_gate else 0]
        self.in_proj = nn.Linear(d_model, sum(self.widths), bias=False)
        self.out_proj = nn.Linear(queries, d_model, bias=False)
        self.q_norm, self.k_norm = (
            nn.RMSNorm((n, head_dim) if qk_norm == "all" else head_dim, eps=1e-5) if qk_norm else nn.Identity()
            for n in (n_heads, self.n_kv_heads)
        )

    def init_cache(self, batch: int) -> Cache:
        return empty_cache(self.in_proj.weight, batch, self.n_kv_heads, self.head_dim)

    def mix(self, x: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        q, k, v, gate = self.in_proj(x).split(self.widths, dim=-1)
        q, k, v = (z.unflatten(-1, (-1, self.head_dim)) for z in (q, k, v))  # (b, t, h or n_kv_heads, p)
        q, k, v = (z.transpose(1, 2) for z in (self.q_norm(q), self.k_norm(k), v))  # (b, h or n_kv_heads, t, p)
        if self.rope:
            q, k = rotated(q, k, cache.position, self.rope_theta, self.rope_dim)
        y, cache = attend(q, k, v, cache, self.window)
        y = y.transpose(1, 2).flatten(2)  # (b, t, h p)
        return self.out_proj(y * torch.sigmoid(gate) if gate.shape[-1] else y), cache


def empty_cache(like: Tensor, batch: int, heads: int, head_dim: int) -> Cache:
    """The cache before the first token, of the type and on the device of `like`."""
    none = like.new_zeros(batch, heads, 0, head_dim)
    return Cache(none, none)


def rotated(q: Tensor, k: Tensor, first: int, theta: float = 10000.0, dim: int | None = None) -> tuple[Tensor, Tensor]:
    """Queries and keys (…, time, head_dim) with their first `dim` numbers rotated by position, from `first` on."""
    dim = q.shape[-1] if dim is None else dim
    pair = torch.arange(0, dim, 2, dtype=torch.float64, device=q.device)
    angle = angles(first, q.shape[-2], pair / dim, theta)  # (t, dim/2)
    q, k = (torch.cat([rotate(z[..., :dim], angle), z[..., dim:]], dim=-1) for z in (q, k))
    return q, k


def attend(q: Tensor, k: Tensor, v: Tensor, cache: Cache, window: int | None = None) -> tuple[Tensor, Cache]:
    """Attention of the tokens that follow those in the cache: (batch, heads, time, head_dim); returns (y, cache).

    With a window the tokens come in pieces, each with the window - 1 before it: time and memory are linear in theirs.
    """
    y = []
    length = PIECE if window else q.shape[2]
    for q_i, k_i, v_i in zip(*(z.split(length, dim=2) for z in (q, k, v)), strict=True):
        cache = cache.append(k_i, v_i)
        y.append(_softmax(q_i, cache.k, cache.v, window))
        if window:
            cache = cache.last(window - 1)
    return torch.cat(y, dim=2), cache


def _softmax(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    """What the last tokens read, whose queries are q, of all tokens that their window may reach."""
    time, seen = q.shape[2], k.shape[2] - q.shape[2]
    if time == 1:  # it sees all; queries of one head of keys are taken together, which reads the cache once
        together = q.unflatten(1, (k.shape[1], -1)).flatten(2, 3)  # (b, n_kv_heads, h / n_kv_heads, p)
        return F.scaled_dot_product_attention(together, k, v).reshape(q.shape)
    mask = None
    if seen or (window and window < time):
        mask = torch.ones(time, seen + time, dtype=torch.bool, device=q.device).tril(seen)
        mask = mask.triu(seen - window + 1) if window else mask
    shared = k.shape[1] < q.shape[1]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=shared)
