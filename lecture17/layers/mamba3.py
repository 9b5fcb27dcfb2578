"""The Mamba-3 block: trapezoidal rule and rotating states. Introduced in 03c_memory."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import mamba3
from ..ops.validation import state_dtype
from .mixer import Mixer, check_even, count_heads, over_time
from .parts import init_step_bias


class Mamba3(Mixer):
    """The Mamba-3 block, with one input and one output per head (SISO).

        z, x, B, C, δ, a, λ, θ = W_in u
        Δ = softplus(δ + b),   log_a = -Δ max(softplus(a), 1e-4),   λ = σ(λ),   θ = Δ π tanh(θ)       per head
        B, C = RMSNorm(B) + b_B, RMSNorm(C) + b_C                     shared by the heads, except for the biases
        out = W_out ((Mamba3(x, Δ, λ, log_a, θ, B, C) + D x) ∘ SiLU(z))

    The trapezoidal rule, which looks one token back, takes the place of Mamba-2's convolution; the rotation makes the
    decay complex. All pairs of the state rotate (the published code rotates half of them by default).
    u, out: (batch, time, d_model); inside, expand · d_model = heads · head_dim.
    Source: Lahoti et al., arXiv 2603.15569, Section 3; biases, floor and initial values as in the code of March 2026
    (mamba_ssm). Since June 2026 that code has 1 + a for a ≥ 0 and 1 / (1 - a) below, in place of softplus(a).
    """

    def __init__(self, d_model: int, d_state: int = 128, head_dim: int = 64, expand: int = 2, chunk_size: int = 64):
        super().__init__(d_model)
        self.d_inner = expand * d_model
        self.n_heads = count_heads(head_dim, **{"expand · d_model": self.d_inner})
        check_even("Mamba-3 rotates pairs", d_state=d_state)
        self.d_state, self.head_dim, self.chunk_size = d_state, head_dim, chunk_size
        self.widths = [self.d_inner, self.d_inner, d_state, d_state, *3 * [self.n_heads], d_state // 2]
        self.in_proj = nn.Linear(d_model, sum(self.widths), bias=False)
        self.dt_bias = init_step_bias(self.n_heads)
        self.B_norm, self.C_norm = nn.RMSNorm(d_state, eps=1e-5), nn.RMSNorm(d_state, eps=1e-5)
        self.B_bias = nn.Parameter(torch.ones(self.n_heads, d_state))
        self.C_bias = nn.Parameter(torch.ones(self.n_heads, d_state))
        self.D = nn.Parameter(torch.ones(self.n_heads))
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)

    def init_cache(self, batch: int) -> Any:
        """The state of the recurrence, which is opaque here: what it returns for no tokens."""
        none = self.D.new_zeros(batch, 0, self.n_heads, self.head_dim)  # (b, 0, h, p)
        scalar, keys = none[..., 0], none.new_zeros(batch, 0, self.n_heads, self.d_state)
        _, state = mamba3.recurrent(none, scalar, scalar, scalar, keys[..., ::2], keys, keys)
        return state

    def mix(self, x: Tensor, cache: Any) -> tuple[Tensor, Any]:
        wide = state_dtype(x.dtype)
        z, x, B, C, delta, rate, lam, theta = self.in_proj(x).split(self.widths, dim=-1)
        x = x.unflatten(-1, (self.n_heads, -1))  # (b, t, h, p)
        B = self.B_norm(B)[:, :, None] + self.B_bias  # (b, t, h, n)
        C = self.C_norm(C)[:, :, None] + self.C_bias  # (b, t, h, n)
        delta = F.softplus(delta.to(wide) + self.dt_bias)  # (b, t, h)
        log_a = -delta * F.softplus(rate.to(wide)).clamp(min=1e-4)  # (b, t, h)
        theta = delta[..., None] * math.pi * torch.tanh(theta.to(wide))[:, :, None]  # (b, t, h, n/2)
        delta, theta = delta.to(x.dtype), theta.to(x.dtype)
        y, cache = over_time(
            mamba3, x, delta, torch.sigmoid(lam), log_a, theta, B, C, state=cache, chunk_size=self.chunk_size
        )  # (b, t, h, p)
        y = y + self.D[:, None] * x
        return self.out_proj(y.flatten(2) * F.silu(z)), cache
