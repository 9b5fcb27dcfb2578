"""Parts that several blocks use: the short convolution, the norms and the initial values of step sizes and decays."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ShortConv(nn.Conv1d):
    """Depthwise causal convolution over the last `width` tokens, then SiLU: y_t = SiLU(b + Σ_i w_i ∘ x_{t-i}).

    It shows each token the few before it. Source: Gu and Dao, arXiv 2312.00752, Section 3.4.
    """

    def __init__(self, channels: int, width: int, bias: bool = True):
        super().__init__(channels, channels, width, groups=channels, bias=bias)

    def init_window(self, batch: int) -> Tensor:
        """The tokens before the first: zeros (batch, width - 1, channels)."""
        return self.weight.new_zeros(batch, self.kernel_size[0] - 1, self.in_channels)

    def forward(self, x: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """The convolution of x: (batch, time, channels) after `window`; returns (y, the window for what follows)."""
        x = torch.cat([window, x], dim=1)  # (batch, width - 1 + time, channels)
        y = super().forward(x.transpose(1, 2)).transpose(1, 2)  # (batch, time, channels)
        return F.silu(y), x[:, y.shape[1] :].clone()  # a view would keep all of x


class GatedRMSNorm(nn.Module):
    """RMSNorm of x ∘ SiLU(z), for each of `groups` equal parts of the features separately.

    Source: Dao and Gu, arXiv 2405.21060, Section 7.1.
    """

    def __init__(self, features: int, groups: int, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.groups, self.eps = groups, eps

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        x = (x * F.silu(z)).unflatten(-1, (self.groups, -1))  # (…, groups, features of a group)
        return self.weight * F.rms_norm(x, x.shape[-1:], eps=self.eps).flatten(-2)


class HeadNorm(nn.GroupNorm):
    """GroupNorm with the heads as groups: each head of each token separately, (b, t, heads, d) -> (b, t, heads · d)."""

    def forward(self, y: Tensor) -> Tensor:
        flat = y.flatten(2)
        return super().forward(flat.flatten(0, 1)).view_as(flat)


def unit(x: Tensor) -> Tensor:
    """x / √(|x|² + 1e-6) in the last axis: length 1, except for tiny x. Source: `l2norm` of flash-linear-attention."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def init_log_rate(*shape: int) -> nn.Parameter:
    """log A with A uniform in [1, 16], the decay per unit of step size. Source: the published code of Mamba-2."""
    return nn.Parameter(torch.empty(*shape).uniform_(1, 16).log())


def init_step_bias(n: int) -> nn.Parameter:
    """b with softplus(b) log-uniform in [1e-3, 1e-1]: the step sizes that training starts from.

    The inverse of softplus is d + log(1 - e^{-d}). Source: Gu and Dao, arXiv 2312.00752, Section 3.6.
    """
    step = torch.empty(n).uniform_(math.log(1e-3), math.log(1e-1)).exp()
    return nn.Parameter(step + torch.log(-torch.expm1(-step)))
