"""The short convolution in front of any mixer, so that what differs is the mixer alone. Introduced in 05b_long_range.

    Convolved(d_model, ScalarDecay, width=2, …)       its own convolution on each of the queries, keys and values

A recall task needs it: a fact is two tokens, and a layer that writes one token at a time cannot bind the value to its
key unless something shows it both.
"""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .mixers import _Heads


class CausalConv(nn.Conv1d):
    """y_t = b + w_0 ∘ x_t + w_1 ∘ x_{t-1} + … over the last `width` tokens, (batch, time, channels) to the same."""

    def __init__(self, channels: int, width: int):
        super().__init__(channels, channels, width, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x.transpose(1, 2), (self.kernel_size[0] - 1, 0))).transpose(1, 2)


class Softmax(_Heads):
    """Causal softmax attention with the projections, heads and norm that the other small mixers have."""

    def __init__(self, d_model: int, n_heads: int):
        super().__init__(d_model, n_heads, d_model // n_heads, gates=1)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class LinearAttention(_Heads):
    """Causal linear attention, S_t = S_{t-1} + k_t v_tᵀ: nothing decays and nothing is removed."""

    def __init__(self, d_model: int, n_heads: int, d_state: int):
        super().__init__(d_model, n_heads, d_state, gates=1)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        return (q @ k.mT).tril() @ v


class Convolved(nn.Module):
    """A mixer whose queries, keys and values each pass a convolution of `width` tokens first."""

    def __init__(self, d_model: int, inner: Callable[..., _Heads], width: int, **options: Any):
        super().__init__()
        self.mixer = inner(d_model, **options)
        for name in ("q", "k", "v"):
            linear = getattr(self.mixer, name)
            setattr(self.mixer, name, nn.Sequential(linear, CausalConv(linear.out_features, width)))

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(x)
