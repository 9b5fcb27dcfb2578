"""Softmax attention over latents, a short row per token. Introduced in 03e_family_since."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mixer import Mixer, count_heads


class LatentAttention(Mixer):
    """Multi-head latent attention without positions, as between the KDA layers of Kimi Linear.

        c_t = RMSNorm(W_c x_t),    s_t = W_s x_t                    the latent, and a key that all heads share
        k_t = [U_k c_t, s_t],      v_t = U_v c_t,      q_t = W_q x_t          per head
        out = W_o y,               y_t = Σ_{j ≤ t} softmax_j(q_t·k_j / √(head_dim + shared_dim)) v_j

    The cache keeps c and s, latent_dim + shared_dim numbers per token whatever the number of heads. A single token
    never makes the keys of the others: q·(U_k c) = (U_kᵀ q)·c, so queries go to the latents, and what is read of these
    goes through U_v once.

    x, out: (batch, time, d_model); n_heads is d_model / head_dim if not given, and values have head_dim numbers unless
    v_dim says otherwise. The published code rotates s and a part of q by position; here, as in Kimi Linear, nothing is
    rotated.
    Sources: DeepSeek-AI, arXiv 2405.04434, Section 2.1; without positions: Kimi Team, arXiv 2510.26692.
    """

    def __init__(
        self,
        d_model: int,
        head_dim: int = 64,
        latent_dim: int = 128,
        shared_dim: int = 32,
        n_heads: int | None = None,
        v_dim: int | None = None,
    ):
        super().__init__(d_model)
        self.n_heads = count_heads(head_dim, n_heads, d_model=d_model)
        self.head_dim, self.latent_dim, self.shared_dim = head_dim, latent_dim, shared_dim
        self.v_dim = head_dim if v_dim is None else v_dim
        self.q_proj = nn.Linear(d_model, self.n_heads * (head_dim + shared_dim), bias=False)
        self.latent_proj = nn.Linear(d_model, latent_dim + shared_dim, bias=False)
        self.norm = nn.RMSNorm(latent_dim, eps=1e-6)
        self.kv_proj = nn.Linear(latent_dim, self.n_heads * (head_dim + self.v_dim), bias=False)
        self.out_proj = nn.Linear(self.n_heads * self.v_dim, d_model, bias=False)

    def init_cache(self, batch: int) -> Tensor:
        return self.latent_proj.weight.new_zeros(batch, 0, self.latent_dim + self.shared_dim)

    def mix(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        q = self.q_proj(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (b, h, t, p + s)
        latent, shared = self.latent_proj(x).split([self.latent_dim, self.shared_dim], dim=-1)
        cache = torch.cat([cache, torch.cat([self.norm(latent), shared], dim=-1)], dim=1)  # (b, seen + t, r + s)
        y = self.of_latents(q, cache) if x.shape[1] == 1 else self.of_keys(q, cache)
        return self.out_proj(y.transpose(1, 2).flatten(2)), cache

    def of_keys(self, q: Tensor, cache: Tensor) -> Tensor:
        """What the last tokens read, (b, h, t, v_dim), with the keys and values of every head."""
        latent, shared = cache[:, None].split([self.latent_dim, self.shared_dim], dim=-1)  # (b, 1, seen + t, r or s)
        kv = self.kv_proj(latent).unflatten(-1, (self.n_heads, -1)).squeeze(1).transpose(1, 2)
        k, v = kv.split([self.head_dim, self.v_dim], dim=-1)  # (b, h, seen + t, p or v_dim)
        k = torch.cat([k, shared.expand(-1, self.n_heads, -1, -1)], dim=-1)
        time, seen = q.shape[2], k.shape[2] - q.shape[2]
        mask = torch.ones(time, seen + time, dtype=torch.bool, device=q.device).tril(seen) if seen else None
        v = F.pad(v, (0, k.shape[-1] - self.v_dim))  # PyTorch's quick attention wants one size
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not seen)[..., : self.v_dim]

    def of_latents(self, q: Tensor, cache: Tensor) -> Tensor:
        """The same for one token, (b, h, 1, v_dim), whose queries go to the latents themselves."""
        up = self.kv_proj.weight.unflatten(0, (self.n_heads, -1))  # (h, p + v_dim, r)
        to_k, to_v = up.split([self.head_dim, self.v_dim], dim=1)
        of_head, of_all = q.split([self.head_dim, self.shared_dim], dim=-1)
        q = torch.cat([of_head @ to_k, of_all], dim=-1).transpose(1, 2)  # (b, 1, h, r + s): one head of keys for all
        scale = (self.head_dim + self.shared_dim) ** -0.5
        y = F.scaled_dot_product_attention(q, cache[:, None], cache[:, None], scale=scale)[..., : self.latent_dim]
        return y.transpose(1, 2) @ to_v.mT
