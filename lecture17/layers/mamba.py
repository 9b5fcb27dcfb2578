"""The Mamba block and its core, the selective scan. Introduced in 03c_family; images use the scan in 04c_vision."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import selective_scan
from .mixer import ConvCache, Mixer, over_time
from .parts import ShortConv, init_step_bias


class SelectiveSSM(Mixer):
    """A state-space model whose step size, input and output depend on the token.

        δ, B, C = W_x x,    Δ = softplus(W_Δ δ + b)            a step size per channel, through dt_rank numbers
        h_t = e^{Δ_t A} ∘ h_{t-1} + Δ_t B_t x_t,    y_t = C_t·h_t + D x_t

    per channel, with d_state rates A = -e^{A_log}, initially -1, -2, …, -d_state. x, y: (batch, time, d_model); the
    cache is the state h. Source: Gu and Dao, arXiv 2312.00752, Section 3.2, Algorithm 2; initial values, Section 3.6.
    """

    def __init__(self, d_model: int, d_state: int = 16, dt_rank: int = 1):
        super().__init__(d_model)
        self.dt_rank, self.d_state = dt_rank, d_state
        self.x_proj = nn.Linear(d_model, dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(dt_rank, d_model)
        nn.init.uniform_(self.dt_proj.weight, -(dt_rank**-0.5), dt_rank**-0.5)
        self.dt_proj.bias = init_step_bias(d_model)
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(d_model, 1))
        self.D = nn.Parameter(torch.ones(d_model))

    def init_cache(self, batch: int) -> Tensor:
        d, n = self.A_log.shape
        return self.zeros(batch, n, d)

    def mix(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        delta, B, C = self.x_proj(x).split(
            [self.dt_rank, self.d_state, self.d_state], dim=-1
        )  # (b, t, r), 2 × (b, t, n)
        delta = F.softplus(self.dt_proj(delta).to(cache.dtype))  # (b, t, d)
        A = -self.A_log.to(cache.dtype).exp()  # (d, n)
        y, cache = over_time(selective_scan, x, delta, A, B, C, state=cache, chunk_size=64)
        return y + self.D * x, cache


class Mamba(SelectiveSSM):
    """The Mamba block: a selective scan over expand · d_model channels, between two projections and behind a gate.

        x, z = W_in u,      y = SelectiveSSM(SiLU(conv(x))),      out = W_out (y ∘ SiLU(z))

    u, out: (batch, time, d_model). Parameters have the names and shapes of `MambaMixer` in Hugging Face's
    transformers, whose weights load unchanged. Source: Gu and Dao, arXiv 2312.00752, Section 3.4.
    """

    def __init__(self, d_model: int, d_state: int = 16, expand: int = 2, d_conv: int = 4):
        d_inner = expand * d_model
        super().__init__(d_inner, d_state, dt_rank=-(-d_model // 16))
        self.d_model = d_model  # the width of the block's input and output; the scan runs on d_inner channels
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = ShortConv(d_inner, d_conv)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)

    def init_cache(self, batch: int) -> ConvCache:  # type: ignore[override]
        return ConvCache(self.conv1d.init_window(batch), super().init_cache(batch))

    def mix(self, x: Tensor, cache: ConvCache) -> tuple[Tensor, ConvCache]:  # type: ignore[override]
        x, z = self.in_proj(x).chunk(2, dim=-1)  # (b, t, d_inner) each
        x, window = self.conv1d(x, cache.window)
        y, state = super().mix(x, cache.state)
        return self.out_proj(y * F.silu(z)), ConvCache(window, state)
