"""RWKV-7's time mixing. Introduced in 03c_memory and 04a_torch."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import rwkv7
from ..ops.packing import Starts, by_pieces
from ..ops.validation import shapes_checked
from .mixer import Mixer, Sequence, Token, check_cache, check_features, check_layout, count_heads, over_time
from .parts import HeadNorm

FACTORS = {"w": 2.5, "a": 2.5, "v": 1.7, "g": 5}  # ranks of the low-rank maps, in units of √d_model


class Cache(NamedTuple):
    """What the next token needs, and what later layers of a stack need at these tokens."""

    last: Tensor  # (batch, d_model): the last token, which the next one mixes in
    state: Tensor  # (batch, heads, head_dim, head_dim)
    v_first: Tensor | None = None  # (batch, time, d_model): the first layer's values at the tokens just read


class RWKV7(Mixer):
    """RWKV-7's time mixing: a generalized delta rule, and what prepares its six inputs.

        x_r, x_w, … = x_t + (x_{t-1} - x_t) ∘ μ_r, μ_w, …                      token shift, six streams
        r, k, v = W_r x_r, W_k x_k, W_v x_v,        g = σ(x_g g_1) g_2
        log_w = -e^{-1/2} σ(w_0 + tanh(x_w w_1) w_2)                           so w is in (0.545, 1)
        a = σ(a_0 + x_a a_1 a_2),   κ̂ = k ∘ k_k scaled to length 1 per head,   k = k ∘ (1 + (a - 1) ∘ k_a)
        v = v + (v_first - v) ∘ σ(v_0 + x_v v_1 v_2)                           in all layers but the first
        y = GroupNorm(RWKV7(r, log_w, k, v, κ̂, a)) + (Σ r ∘ k ∘ r_k) v         sum and norm per head
        out = W_o (y ∘ g)

    **The value residual.** A layer with layer > 0 mixes in `v_first`, the values of the first RWKV-7 layer of its stack
    at the same tokens: `forward(x, v_first)`, `step(x_t, cache, v_first)`, `mix(x, cache, v_first)`. The returned cache
    holds them as `cache.v_first`, (batch, time, d_model), in the first layer its own values: so a stack passes them
    from each layer to the next.

    layer and n_layers count the RWKV-7 layers of the stack. They also set the initial values: deeper layers shift less
    and forget more slowly. W_o starts at zero: in a residual stack the untrained block is the identity.
    x, out: (batch, time, d_model) with d_model = heads · head_dim. `ranks` are those of the low-rank maps "w", "a", "v"
    and "g", by default about 2.5, 2.5, 1.7 and 5 times √d_model. They, the names, shapes and initial values of the
    parameters are those of the module in the published code (RWKV-LM, RWKV-v7/train_temp) since May 2025. Its trainer
    then draws W_r, W_k and W_v anew, orthogonal with gains 1, 0.1 and 1, and starts the norm's weight at
    ((layer + 1) / n_layers)^0.7, layers counted from 0.
    Source: Peng et al., arXiv 2503.14456, Section 4.
    """

    x_r: nn.Parameter
    x_w: nn.Parameter
    x_k: nn.Parameter
    x_v: nn.Parameter
    x_a: nn.Parameter
    x_g: nn.Parameter

    def __init__(
        self,
        d_model: int,
        head_dim: int = 64,
        layer: int = 0,
        n_layers: int = 1,
        ranks: Mapping[str, int] | None = None,
    ):
        super().__init__(d_model)
        if not 0 <= layer < n_layers:
            raise ValueError(f"layer is {layer} with n_layers {n_layers}: expected 0 ≤ layer < n_layers")
        self.n_heads = count_heads(head_dim, d_model=d_model)
        self.head_dim, self.layer = head_dim, layer
        d = d_model
        channel = torch.arange(d) / d  # 0 … 1
        along = torch.linspace(-0.5, 0.5, d)
        zigzag = torch.linspace(-1, 1, head_dim).repeat(self.n_heads)
        zigzag = zigzag * zigzag.abs()
        depth, left = layer / max(n_layers - 1, 1), 1 - layer / n_layers

        for name, power in {"x_r": 0.2, "x_w": 0.9, "x_k": 0.7, "x_v": 0.7, "x_a": 0.9, "x_g": 0.2}.items():
            self.register_parameter(name, nn.Parameter((1 - channel ** (power * left)).view(1, 1, d)))
        decay = 6 * (torch.arange(d) / max(d - 1, 1)) ** (1 + depth**0.3) - 6
        self.w0 = nn.Parameter((decay + 0.5 + 2.5 * zigzag).view(1, 1, d))
        ranks = {name: _rank(d, factor) for name, factor in FACTORS.items()} | dict(ranks or {})
        self.w1, self.w2 = _low_rank(d, ranks["w"])
        self.a0 = nn.Parameter((-0.19 + 0.3 * zigzag + 0.4 * along).view(1, 1, d))
        self.a1, self.a2 = _low_rank(d, ranks["a"])
        if layer > 0:
            self.v0 = nn.Parameter((0.73 - 0.4 * along).view(1, 1, d))
            self.v1, self.v2 = _low_rank(d, ranks["v"])
        self.g1, self.g2 = _low_rank(d, ranks["g"])
        self.k_k = nn.Parameter((0.71 - 0.1 * along).view(1, 1, d))
        self.k_a = nn.Parameter(torch.full((1, 1, d), 1.02))
        self.r_k = nn.Parameter(torch.full((self.n_heads, head_dim), -0.04))

        self.receptance = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.value = nn.Linear(d, d, bias=False)
        self.output = nn.Linear(d, d, bias=False)
        self.ln_x = HeadNorm(self.n_heads, d, eps=64e-5)
        for linear, bound in ((self.receptance, 0.5), (self.key, 0.05), (self.value, 0.5), (self.output, 0)):
            nn.init.uniform_(linear.weight, -bound * d**-0.5, bound * d**-0.5)

    def init_cache(self, batch: int) -> Cache:
        last = self.k_k.new_zeros(batch, self.d_model)
        return Cache(last, self.zeros(batch, self.n_heads, self.head_dim, self.head_dim))

    @shapes_checked
    def forward(self, x: Sequence, v_first: Sequence | None = None, *, seq_start: Starts | None = None) -> Sequence:
        """The block on a whole sequence, or on those packed in it; all layers but the first need v_first."""
        check_features(self.d_model, x=x)
        return by_pieces(lambda x, v: self.mix(x, self.init_cache(len(x)), v)[0], seq_start, x, v_first)

    @shapes_checked
    def step(self, x_t: Token, cache: Any, v_first: Token | None = None) -> tuple[Token, Cache]:
        """The block on the next token; returns (y_t, cache)."""
        check_features(self.d_model, x_t=x_t)
        check_layout(self, cache)
        check_cache(cache, x_t=x_t)
        y, cache = self.mix(x_t[:, None], cache, None if v_first is None else v_first[:, None])
        return y[:, 0], cache

    def mix(self, x: Tensor, cache: Cache, v_first: Tensor | None = None) -> tuple[Tensor, Cache]:
        """The block on the tokens x that follow those the cache has seen, with the first layer's values at x."""
        if (v_first is None) != (self.layer == 0):
            raise ValueError(
                f"v_first is {'not ' if v_first is None else ''}given to layer {self.layer}: expected the first RWKV-7 "
                "layer's values (the v_first of its cache) in every later layer, and none in the first"
            )
        shift = torch.cat([cache.last[:, None], x[:, :-1]], dim=1) - x  # (b, t, d)
        x_r, x_w, x_k, x_v, x_a, x_g = (
            x + shift * mu for mu in (self.x_r, self.x_w, self.x_k, self.x_v, self.x_a, self.x_g)
        )
        r, k, v = self.receptance(x_r), self.key(x_k), self.value(x_v)  # (b, t, d) each
        w = self.w0 + torch.tanh(x_w @ self.w1) @ self.w2
        log_w = -math.exp(-0.5) * torch.sigmoid(w.to(cache.state.dtype))  # (b, t, d)
        a = torch.sigmoid(self.a0 + x_a @ self.a1 @ self.a2)  # (b, t, d)
        g = torch.sigmoid(x_g @ self.g1) @ self.g2  # (b, t, d)
        if v_first is None:
            v_first = v
        else:
            share = torch.sigmoid(self.v0 + x_v @ self.v1 @ self.v2)
            v = torch.lerp(v, v_first, share.to(v.dtype))

        kappa = F.normalize(self._heads(k * self.k_k), dim=-1)  # (b, t, h, p)
        k = k * (1 + (a - 1) * self.k_a)
        r, log_w, k, v, a = map(self._heads, (r, log_w, k, v, a))  # (b, t, h, p) each
        y, state = over_time(rwkv7, r, log_w, k, v, kappa, a, state=cache.state, chunk_size=64)
        bonus = (r * k * self.r_k).sum(-1, keepdim=True) * v  # (b, t, h, p)
        y = self.ln_x(y) + bonus.flatten(2)  # (b, t, d)
        return self.output(y * g), Cache(x[:, -1].clone(), state, v_first)

    def _heads(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (self.n_heads, self.head_dim))  # (b, t, h, p)


def _rank(d: int, factor: float) -> int:
    """About factor · √d, in steps of 32."""
    return 32 * max(1, round(factor * d**0.5 / 32))


def _low_rank(d: int, rank: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Matrices (d, rank) and (rank, d); their product starts at zero."""
    second = torch.empty(rank, d)
    nn.init.orthogonal_(second, gain=0.1 * max(1, (rank / d) ** 0.5))
    return nn.Parameter(torch.zeros(d, rank)), nn.Parameter(second)
