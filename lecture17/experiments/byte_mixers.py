"""Blocks of a byte language model that differ in the mixer alone. Introduced in 05c_language.

In each of them q, k and v are SiLU of a convolution of four tokens over W x, and what is read is normed per head:

    SoftmaxBlock   y_t = Σ_j softmax_j(q_t·k_j / √head_dim) v_j,     q and k turned by position (RoPE)
    SSDBlock       S_t = e^{log_a_t} S_{t-1} + k_t (Δ_t v_t)ᵀ,       Δ and log_a as in Mamba-2
    GLABlock       S_t = diag(α_t) S_{t-1} + k_t v_tᵀ,               α as in GLA
    RWKV7Block     S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + (a_t ∘ k_t) v_tᵀ,     w in RWKV-7's range
    the last three y_t = q_t S_t

These are the recurrences of the published models, not the models: Mamba-2 has a gate behind its scan, RWKV-7 a bonus, a
shift instead of the convolution, and values that pass from layer to layer.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import attention
from ..layers._mixer import ConvCache, Mixer, count_heads, over_time
from ..layers._parts import ShortConv, init_log_rate, init_step_bias
from ..ops import gla, rwkv7, ssd
from ..ops._validation import state_dtype

WIDTH = 4  # tokens that the convolution sees
RANK = 16  # of the maps from x to gates that are as many as a head's keys


class _Convolved(Mixer):
    """What the blocks share: projections, convolution, heads, norm and the way out."""

    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model)
        self.n_heads, self.head_dim = count_heads(head_dim, d_model=d_model), head_dim
        self.in_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.conv = ShortConv(3 * d_model, WIDTH, bias=False)
        self.norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)

    def init_cache(self, batch: int) -> ConvCache:
        return ConvCache(self.conv.init_window(batch), self.init_state(batch))

    def init_state(self, batch: int) -> Any:
        weight = self.out_proj.weight
        return weight.new_zeros(batch, self.n_heads, self.head_dim, self.head_dim, dtype=state_dtype(weight.dtype))

    def mix(self, x: Tensor, cache: ConvCache) -> tuple[Tensor, ConvCache]:
        qkv, window = self.conv(self.in_proj(x), cache.window)
        q, k, v = self.heads(qkv, 3).unbind(2)  # (b, t, h, p) each
        y, state = self.read(q, k, v, x, cache.state)
        return self.out_proj(self.norm(y).flatten(2)), ConvCache(window, state)

    def heads(self, z: Tensor, parts: int) -> Tensor:
        """(b, t, parts · d) as (b, t, parts, h, p)."""
        return z.unflatten(-1, (parts, self.n_heads, self.head_dim))

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What q reads of all that k and v wrote, (b, t, h, p); returns (y, state)."""
        raise NotImplementedError


class SoftmaxBlock(_Convolved):
    def init_state(self, batch: int) -> attention.Cache:
        none = self.out_proj.weight.new_zeros(batch, self.n_heads, 0, self.head_dim)
        return attention.Cache(none, none)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))  # (b, h, t, p) each
        y, state = attention.attend(q, k, v, state, rope=True)
        return y.transpose(1, 2), state


class SSDBlock(_Convolved):
    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        self.step_proj = nn.Linear(d_model, self.n_heads, bias=False)
        self.dt_bias = init_step_bias(self.n_heads)
        self.A_log = init_log_rate(self.n_heads)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        delta = F.softplus(self.step_proj(x).to(state.dtype) + self.dt_bias)  # (b, t, h)
        log_a = -self.A_log.to(delta.dtype).exp() * delta
        return over_time(ssd, v * delta[..., None].to(v.dtype), log_a, k, q, state=state, chunk_size=64)


class GLABlock(_Convolved):
    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        self.alpha_proj = nn.Sequential(nn.Linear(d_model, RANK, bias=False), nn.Linear(RANK, d_model))

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_alpha = F.logsigmoid(self.heads(self.alpha_proj(x).to(state.dtype), 1)[:, :, 0]) / 16
        return over_time(gla, q, k, v, log_alpha, state=state, chunk_size=64)


class RWKV7Block(_Convolved):
    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        self.gates_proj = nn.Sequential(nn.Linear(d_model, RANK, bias=False), nn.Linear(RANK, 2 * d_model))
        from_slow_to_quick = torch.linspace(-6, 1, head_dim).repeat(self.n_heads)
        self.gates_proj[1].bias.data = torch.cat([from_slow_to_quick, torch.zeros(d_model)])

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        w, a = torch.sigmoid(self.heads(self.gates_proj(x), 2)).unbind(2)
        log_w = -math.exp(-0.5) * w.to(state.dtype)
        return over_time(rwkv7, q, log_w, a * k, v, F.normalize(k, dim=-1), a, state=state, chunk_size=64)


BLOCKS: dict[str, type[_Convolved]] = {"A": SoftmaxBlock, "S": SSDBlock, "G": GLABlock, "R": RWKV7Block}
