"""RetNet's block: retention at several time scales. Introduced in 03c_family."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import retention
from .mixer import Mixer, angles, check_even, count_heads, over_time, rotate
from .parts import HeadNorm


class Cache(NamedTuple):
    """The position of the next token, for its rotation, and the state."""

    position: int
    state: Tensor  # (batch, heads, head_dim, 2 head_dim)


class Retention(Mixer):
    """Gated multi-scale retention.

        q, k = W_q x, W_k x / √head_dim, rotated by position ∘ θ,    v = W_v x
        y = GroupNorm(Retention(q, k, v, γ)),    out = W_o (SiLU(W_g x) ∘ y)

    Head h decays by γ_h = 1 - 2^{-5-h}, so that later heads remember longer; its values are twice as wide as its keys.
    The rotation by θ = 10000^{-linspace(0, 1, head_dim/2)} and the decay are the two parts of xPos. GroupNorm
    normalizes each head separately. x, out: (batch, time, d_model) with d_model = heads · head_dim.
    Source: Sun et al., arXiv 2307.08621, Section 2.2; θ and initial values as in the published code (torchscale) before
    November 24, 2023, when the initial W_o became half as large as here (gain 2⁻¹).
    """

    def __init__(self, d_model: int, head_dim: int = 64):
        super().__init__(d_model)
        self.n_heads = count_heads(head_dim, d_model=d_model)
        self.head_dim = head_dim
        check_even("xPos rotates pairs", head_dim=head_dim)
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, 2 * d_model, bias=False)
        self.g_proj = nn.Linear(d_model, 2 * d_model, bias=False)
        self.norm = HeadNorm(self.n_heads, 2 * d_model)
        self.out_proj = nn.Linear(2 * d_model, d_model, bias=False)
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.g_proj):
            nn.init.xavier_uniform_(projection.weight, gain=2**-2.5)
        nn.init.xavier_uniform_(self.out_proj.weight)

    def init_cache(self, batch: int) -> Cache:
        return Cache(0, self.zeros(batch, self.n_heads, self.head_dim, 2 * self.head_dim))

    def mix(self, x: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        time = x.shape[1]
        q = self.q_proj(x).unflatten(-1, (self.n_heads, -1))  # (b, t, h, p)
        k = self.k_proj(x).unflatten(-1, (self.n_heads, -1)) * self.head_dim**-0.5
        v = self.v_proj(x).unflatten(-1, (self.n_heads, -1))  # (b, t, h, 2 p)

        exponent = torch.linspace(0, 1, self.head_dim // 2, dtype=torch.float64, device=x.device)
        angle = angles(cache.position, time, exponent)[:, None]  # (t, 1, p/2)
        gamma = 1 - 2.0 ** (-5 - torch.arange(self.n_heads, device=x.device))  # (h,)
        y, state = over_time(
            retention, rotate(q, angle), rotate(k, angle), v, gamma, state=cache.state, chunk_size=64
        )  # (b, t, h, 2 p)

        y = self.norm(y)  # (b, t, h 2 p)
        return self.out_proj(F.silu(self.g_proj(x)) * y), Cache(cache.position + time, state)
