"""The block of Kimi Delta Attention. Introduced in 03e_family_since."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import kda
from ..ops.validation import state_dtype
from .delta_net import Convolved
from .mixer import over_time
from .parts import init_log_rate, init_step_bias, unit


class KDA(Convolved):
    """Kimi Delta Attention: the delta rule on a state in which every key decays by a gate that the token sets.

        q, k, v = SiLU(conv(W x)),    per head k scaled to length 1 and q to 1/√head_dim,    β = σ(W_β x)
        log_alpha = -A softplus(W_2 W_1 x + b),       A per head, b per key; W_1 and G_1 have rank head_dim
        out = W_o (RMSNorm(KDA(q, k, v, log_alpha, β)) ∘ σ(G_2 G_1 x)),    the norm per head

    A and b start as in Mamba-2. There is no position encoding: the decays tell near from far.
    x, out: (batch, time, d_model); n_heads is d_model / head_dim if not given.
    Source: Kimi Team, arXiv 2510.26692, Section 4; as in the release Kimi-Linear-48B-A3B (transformers' `kimi_linear`),
    whose heads have 128 numbers. In flash-linear-attention G_2 has a bias.
    """

    def __init__(self, d_model: int, head_dim: int = 64, d_conv: int = 4, n_heads: int | None = None):
        super().__init__(d_model, head_dim, d_conv, n_heads=n_heads)
        width = self.n_heads * head_dim
        self.alpha_proj, self.g_proj = (
            nn.Sequential(nn.Linear(d_model, head_dim, bias=False), nn.Linear(head_dim, width, bias=False))
            for _ in range(2)
        )
        self.dt_bias = init_step_bias(width)
        self.A_log = init_log_rate(self.n_heads)
        self.beta_proj = nn.Linear(d_model, self.n_heads, bias=False)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        q, k = unit(q) * self.head_dim**-0.5, unit(k)
        step = F.softplus(self.alpha_proj(x).to(state_dtype(x.dtype)) + self.dt_bias)  # (b, t, h · p)
        log_alpha = -self.A_log.to(step.dtype).exp()[:, None] * step.unflatten(-1, (self.n_heads, -1))  # (b, t, h, p)
        beta = torch.sigmoid(self.beta_proj(x))  # (b, t, h)
        return over_time(kda, q, k, v, log_alpha, beta, state=state, chunk_size=64)

    def gated(self, y: Tensor, x: Tensor) -> Tensor:
        return y * torch.sigmoid(self.g_proj(x))
