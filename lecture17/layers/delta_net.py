"""Blocks with a convolution in front of q, k and v: the delta rule, plain and gated. Introduced in 03c_memory."""

import math
from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import delta_rule
from ..ops.validation import state_dtype
from .mixer import ConvCache, Mixer, count_heads, over_time
from .parts import ShortConv, init_log_rate, init_step_bias, unit


class Convolved(Mixer):
    """A block whose q, k, v = SiLU(conv(W x)), and whose reading of them is normed per head and projected.

    What it reads is the subclass's affair. x, out: (batch, time, d_model). There are n_heads heads of queries and keys,
    d_model / head_dim if not given, and n_v_heads of values, a multiple of them, each with expand_v · head_dim numbers.
    """

    def __init__(
        self,
        d_model: int,
        head_dim: int,
        d_conv: int = 4,
        n_heads: int | None = None,
        n_v_heads: int | None = None,
        expand_v: float = 1,
    ):
        super().__init__(d_model)
        self.n_heads, self.head_dim = count_heads(head_dim, n_heads, d_model=d_model), head_dim
        self.n_v_heads = self.n_heads if n_v_heads is None else n_v_heads
        if self.n_v_heads < 1 or self.n_v_heads % self.n_heads:
            raise ValueError(f"n_v_heads is {n_v_heads}: expected a multiple of the {self.n_heads} heads of keys")
        self.head_v_dim = round(expand_v * head_dim)
        if self.head_v_dim < 1 or not math.isclose(self.head_v_dim, expand_v * head_dim):
            raise ValueError(f"expand_v is {expand_v} and head_dim {head_dim}: expected their product to be an integer")
        self.widths = [*2 * [self.n_heads * head_dim], self.n_v_heads * self.head_v_dim]
        self.in_proj = nn.Linear(d_model, sum(self.widths), bias=False)
        self.conv = ShortConv(sum(self.widths), d_conv, bias=False)
        self.norm = nn.RMSNorm(self.head_v_dim, eps=1e-5)
        self.out_proj = nn.Linear(self.widths[2], d_model, bias=False)

    def init_cache(self, batch: int) -> ConvCache:
        return ConvCache(self.conv.init_window(batch), self.init_state(batch))

    def init_state(self, batch: int) -> Any:
        return self.zeros(batch, self.n_v_heads, self.head_dim, self.head_v_dim)

    def mix(self, x: Tensor, cache: ConvCache) -> tuple[Tensor, ConvCache]:
        qkv, window = self.conv(self.in_proj(x), cache.window)
        q, k, v = qkv.split(self.widths, dim=-1)
        q, k = (z.unflatten(-1, (self.n_heads, self.head_dim)) for z in (q, k))  # (b, t, h, p)
        v = v.unflatten(-1, (self.n_v_heads, self.head_v_dim))  # (b, t, h, p), of values
        y, state = self.read(q, k, v, x, cache.state)
        return self.out_proj(self.gated(self.norm(y).flatten(2), x)), ConvCache(window, state)

    def heads(self, z: Tensor, parts: int) -> Tensor:
        """(b, t, parts · d) as (b, t, parts, h, p)."""
        return z.unflatten(-1, (parts, self.n_heads, self.head_dim))

    @abstractmethod
    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What q reads of all that k and v wrote, (b, t, h, p); returns (y, state)."""

    def gated(self, y: Tensor, x: Tensor) -> Tensor:
        return y


class DeltaNet(Convolved):
    """The delta rule: each token replaces what its key recalls.

        q, k, v = SiLU(conv(W x)),    per head k scaled to length 1 and q to 1/√head_dim,    β = beta_max σ(W_β x)
        out = W_o RMSNorm(Delta(q, k, v, β)),    the norm per head

    The eigenvalues of a transition are 1 and 1 - β. beta_max = 2 lets the latter be negative, which one layer needs to
    track parity.
    x, out: (batch, time, d_model) with d_model = heads · head_dim.
    Sources: Yang et al., arXiv 2406.06484, Section 3; beta_max = 2: Grazzi et al., arXiv 2411.12537; the lengths of q
    and k as in flash-linear-attention 0.5.
    """

    def __init__(self, d_model: int, head_dim: int = 64, d_conv: int = 4, beta_max: float = 1.0, **sizes: Any):
        super().__init__(d_model, head_dim, d_conv, **sizes)
        if not 0 < beta_max <= 2:
            raise ValueError(f"beta_max is {beta_max}: expected a number in (0, 2]; beyond 2 the state can grow")
        self.beta_max = beta_max
        self.beta_proj = nn.Linear(d_model, self.n_v_heads, bias=False)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        q, k = unit(q) * self.head_dim**-0.5, unit(k)
        if self.n_v_heads > self.n_heads:
            q, k = (z.repeat_interleave(self.n_v_heads // self.n_heads, dim=2) for z in (q, k))
        beta = self.beta_max * torch.sigmoid(self.beta_proj(x))  # (b, t, h)
        return over_time(delta_rule, q, k, v, beta, self.log_decay(x), state=state, chunk_size=64)

    def log_decay(self, x: Tensor) -> Tensor | None:
        """log_a: (b, t, h), None where nothing decays."""
        return None


class GatedDeltaNet(DeltaNet):
    """The delta rule on a state that decays: `DeltaNet` with Mamba-2's decay and an output gate.

        log_a = -A softplus(W_a x + b)   per head,      out = W_o (RMSNorm(GatedDelta(q, k, v, β, log_a)) ∘ SiLU(W_g x))

    Values may be wider than keys, expand_v · head_dim numbers, and have more heads: value head h is written and read
    with the key and query of head h // (n_v_heads // n_heads), as in Qwen3-Next. β, log_a and the gate are those of the
    value heads. A and b start as in Mamba-2 (flash-linear-attention 0.5 takes A from [0, 16], expand_v = 2 and
    n_heads · head_dim = 3/4 d_model).
    Source: Yang, Kautz and Hatamizadeh, arXiv 2412.06464, Section 3.
    """

    def __init__(
        self,
        d_model: int,
        head_dim: int = 64,
        d_conv: int = 4,
        beta_max: float = 1.0,
        n_heads: int | None = None,
        n_v_heads: int | None = None,
        expand_v: float = 1,
    ):
        super().__init__(d_model, head_dim, d_conv, beta_max, n_heads=n_heads, n_v_heads=n_v_heads, expand_v=expand_v)
        self.a_proj = nn.Linear(d_model, self.n_v_heads, bias=False)
        self.dt_bias = init_step_bias(self.n_v_heads)
        self.A_log = init_log_rate(self.n_v_heads)
        self.g_proj = nn.Linear(d_model, self.widths[2], bias=False)

    def log_decay(self, x: Tensor) -> Tensor:
        step = F.softplus(self.a_proj(x).to(state_dtype(x.dtype)) + self.dt_bias)  # (b, t, h)
        return -self.A_log.to(step.dtype).exp() * step

    def gated(self, y: Tensor, x: Tensor) -> Tensor:
        return y * F.silu(self.g_proj(x))
