"""The Mamba-2 block: state-space duality between two projections. Introduced in 03c_family and 04a_torch."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import ssd
from ..ops.validation import state_dtype
from .mixer import ConvCache, Mixer, count_heads, over_time
from .parts import GatedRMSNorm, ShortConv, init_log_rate, init_step_bias


class Mamba2(Mixer):
    """The Mamba-2 block.

        z, x, B, C, δ = W_in u,      x, B, C = SiLU(conv(x, B, C))
        Δ = softplus(δ + b),         log_a = -A Δ             one number per head, A = e^{A_log}
        y = SSD(Δ x, log_a, B, C) + D x
        out = W_out RMSNorm(y ∘ SiLU(z)),      with norm_before_gate W_out (RMSNorm(y) ∘ SiLU(z))

    u, out: (batch, time, d_model); inside, d_inner = heads · head_dim, which is expand · d_model unless n_heads is
    given, and head h shares the B and C of group h // (heads // n_groups). dt_limit keeps Δ between two numbers, for a
    single token too (the published code has no limit there); bias is for both projections; norm=False leaves out the
    RMSNorm, as in Falcon-H1. Parameters have the names and shapes of `Mamba2Mixer` in Hugging Face's transformers,
    whose weights load unchanged.
    Source: Dao and Gu, arXiv 2405.21060, Section 7.1; options as in mamba_ssm 2.3.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        head_dim: int = 64,
        n_groups: int = 1,
        expand: int = 2,
        d_conv: int = 4,
        chunk_size: int = 64,
        dt_limit: tuple[float, float] = (0.0, math.inf),
        norm_before_gate: bool = False,
        bias: bool = False,
        conv_bias: bool = True,
        n_heads: int | None = None,
        norm: bool = True,
    ):
        super().__init__(d_model)
        self.n_heads = count_heads(head_dim, n_heads, **{"expand · d_model": expand * d_model})
        self.d_inner = self.n_heads * head_dim
        if n_groups < 1 or self.n_heads % n_groups:
            raise ValueError(
                f"n_groups is {n_groups} for {self.n_heads} heads: expected the heads to be a multiple of n_groups"
            )
        if not 0 <= dt_limit[0] <= dt_limit[1]:
            raise ValueError(f"dt_limit is {dt_limit}: expected two step sizes, the smaller first, at least 0")
        self.dt_limit, self.norm_before_gate, self.bias, self.conv_bias = dt_limit, norm_before_gate, bias, conv_bias
        self.d_state, self.head_dim, self.n_groups, self.chunk_size = d_state, head_dim, n_groups, chunk_size
        d_conv_in = self.d_inner + 2 * n_groups * d_state
        self.in_proj = nn.Linear(d_model, self.d_inner + d_conv_in + self.n_heads, bias=bias)
        self.conv1d = ShortConv(d_conv_in, d_conv, bias=conv_bias)
        self.dt_bias = init_step_bias(self.n_heads)
        self.A_log = init_log_rate(self.n_heads)
        self.D = nn.Parameter(torch.ones(self.n_heads))
        self.norm = GatedRMSNorm(self.d_inner, n_groups, norm_before_gate=norm_before_gate) if norm else None
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)

    def init_cache(self, batch: int) -> ConvCache:
        return ConvCache(self.conv1d.init_window(batch), self.zeros(batch, self.n_heads, self.d_state, self.head_dim))

    def mix(self, x: Tensor, cache: ConvCache) -> tuple[Tensor, ConvCache]:
        u = x
        z, xBC, delta = self.in_proj(u).split([self.d_inner, self.conv1d.in_channels, self.n_heads], dim=-1)
        xBC, window = self.conv1d(xBC, cache.window)  # (b, t, d_inner + 2 g n)
        x, B, C = xBC.split([self.d_inner, *2 * [self.n_groups * self.d_state]], dim=-1)
        x = x.unflatten(-1, (self.n_heads, self.head_dim))  # (b, t, h, p)
        B, C = (M.unflatten(-1, (self.n_groups, self.d_state)) for M in (B, C))  # (b, t, g, n)

        delta = F.softplus(delta.to(state_dtype(delta.dtype)) + self.dt_bias).clamp(*self.dt_limit)  # (b, t, h), steps
        log_a = -self.A_log.to(delta.dtype).exp() * delta  # (b, t, h)
        written = x * delta[..., None].to(x.dtype)  # (b, t, h, p)
        y, state = self.scan(u, written, log_a, B, C, cache.state)
        y = y + self.D[:, None] * x  # (b, t, h, p)

        y = y.flatten(-2)  # (b, t, d_inner)
        y = self.norm(y, z) if self.norm is not None else y * F.silu(z)
        return self.out_proj(y), ConvCache(window, state)

    def scan(self, u: Tensor, x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the tokens read, (b, t, h, p), and the state after them; u is the input of the block."""
        return over_time(ssd, x, log_a, B, C, state=state, chunk_size=self.chunk_size)
