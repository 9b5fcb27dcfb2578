"""What follows a mixer in published models: SwiGLU, and RWKV-7's channel mix, which remembers one token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mixer import Mixer


class SwiGLU(nn.Module):
    """W_down (SiLU(W_gate x) ∘ W_up x), token by token: (…, d_model) -> (…, d_model).

    Source: Shazeer, arXiv 2002.05202, Section 2.
    """

    def __init__(self, d_model: int, hidden: int):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(d_model, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class ChannelMix(Mixer):
    """RWKV-7's MLP, which sees the token before.

        x_k = x_t + (x_{t-1} - x_t) ∘ μ_k,      out = W_v relu(W_k x_k)²

    x, out: (batch, time, d_model), the token before the first one being zero; the cache is the last token. Parameters
    have the names of the published code (RWKV-LM, RWKV-v7). Source: Peng et al., arXiv 2503.14456, Section 4.
    """

    def __init__(self, d_model: int, hidden: int):
        super().__init__(d_model)
        self.x_k = nn.Parameter(torch.zeros(1, 1, d_model))
        self.key = nn.Linear(d_model, hidden, bias=False)
        self.value = nn.Linear(hidden, d_model, bias=False)

    def init_cache(self, batch: int) -> Tensor:
        return self.x_k.new_zeros(batch, self.d_model)

    def mix(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        before = torch.cat([cache[:, None], x[:, :-1]], dim=1)  # (b, t, d)
        y = self.value(F.relu(self.key(x + (before - x) * self.x_k)).square())
        return y, x[:, -1].clone()
