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
        time, dtype = x.shape[1], x.dtype
        x = torch.cat([window, x], dim=1)  # (batch, width - 1 + time, channels)
        w = self.weight[:, 0].mT  # (width, channels), the oldest token first
        y = x[:, :time] * w[0] if self.bias is None else torch.addcmul(self.bias, x[:, :time], w[0])
        for i in range(1, len(w)):  # token after token as they lie in memory, which `nn.Conv1d` would transpose twice
            y = y.addcmul_(x[:, i : i + time], w[i])
        return F.silu(y).to(dtype), x[:, time:].clone()  # a view would keep all of x


class GatedRMSNorm(nn.Module):
    """RMSNorm of x ∘ SiLU(z), or RMSNorm(x) ∘ SiLU(z), for each of `groups` equal parts of the features separately.

    Source: Dao and Gu, arXiv 2405.21060, Section 7.1; norm_before_gate as in the published code of Mamba-2.
    """

    def __init__(self, features: int, groups: int, eps: float = 1e-5, norm_before_gate: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.groups, self.eps, self.norm_before_gate = groups, eps, norm_before_gate

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        gate = F.silu(z)
        x = (x if self.norm_before_gate else x * gate).unflatten(-1, (self.groups, -1))  # (…, groups, of a group)
        y = self.weight * F.rms_norm(x, x.shape[-1:], eps=self.eps).flatten(-2)
        return y * gate if self.norm_before_gate else y


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
