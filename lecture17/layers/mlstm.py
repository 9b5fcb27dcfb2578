"""The mLSTM block of xLSTM. Introduced in 03e_family_since."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import mlstm
from ..ops.validation import state_dtype
from .mixer import Mixer, count_heads, over_time

State = tuple[Tensor, Tensor, Tensor]


class MLSTM(Mixer):
    """The matrix memory of xLSTM behind a gate.

        q, k, v = W_q x / √d_k, W_k x, W_v x,     i, f = e^{cap(W_i x + b_i)}, σ(cap(W_f x + b_f))    per head
        out = W_o (σ(W_z x) ∘ LayerNorm(mLSTM(q, k, v, i, f))),       cap(u) = c tanh(u / c),  c = 15

    LayerNorm normalizes each head separately and has no bias. Keys have qk_dim_factor as many dimensions as values.
    x, out: (batch, time, d_model) with d_model = heads · head_dim.

    As in xLSTM 7B (there with 8 heads of 512 values). Parameters have the names and shapes of `xLSTMLayer` in Hugging
    Face's transformers, whose weights load unchanged. That code adds 10⁻⁶ to the denominator, which the norm divides
    out again. At first no gate depends on the token: b_i = -10, and b_f from 3 in the first head to 6 in the last. W_o
    starts like the other maps; xLSTM 7B divides its 2 / √d_model by the number of layers.
    Sources: Beck et al., arXiv 2405.04517, Section 2.3; this block: Beck et al., arXiv 2503.13427.
    """

    def __init__(
        self,
        d_model: int,
        head_dim: int = 64,
        qk_dim_factor: float = 0.5,
        gate_soft_cap: float = 15.0,
        chunk_size: int = 64,
    ):
        super().__init__(d_model)
        self.n_heads = count_heads(head_dim, d_model=d_model)
        key_dim = qk_dim_factor * head_dim
        if key_dim < 1 or key_dim != int(key_dim):
            raise ValueError(
                f"qk_dim_factor is {qk_dim_factor} and head_dim is {head_dim}: expected their product, the size of a "
                "key, to be a whole number of at least 1"
            )
        self.head_dim, self.key_dim, self.chunk_size = head_dim, int(key_dim), chunk_size
        self.gate_soft_cap = gate_soft_cap
        self.q = nn.Linear(d_model, self.n_heads * self.key_dim, bias=False)
        self.k = nn.Linear(d_model, self.n_heads * self.key_dim, bias=False)
        self.v = nn.Linear(d_model, d_model, bias=False)
        self.ogate_preact = nn.Linear(d_model, d_model, bias=False)
        self.igate_preact = nn.Linear(d_model, self.n_heads)
        self.fgate_preact = nn.Linear(d_model, self.n_heads)
        self.multihead_norm = MultiHeadNorm(d_model, head_dim)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)
        self._init_weights()

    @torch.no_grad()
    def _init_weights(self) -> None:
        for projection in (self.q, self.k, self.v, self.out_proj):
            nn.init.normal_(projection.weight, std=math.sqrt(2 / (5 * self.d_model)))
        for gate in (self.igate_preact, self.fgate_preact, self.ogate_preact):
            nn.init.zeros_(gate.weight)
        self.igate_preact.bias.fill_(-10)
        self.fgate_preact.bias.copy_(torch.linspace(3, 6, self.n_heads))

    def init_cache(self, batch: int) -> State:
        heads = batch, self.n_heads
        return self.zeros(*heads, self.key_dim, self.head_dim), self.zeros(*heads, self.key_dim), self.zeros(*heads)

    def mix(self, x: Tensor, cache: State) -> tuple[Tensor, State]:
        q = self.q(x).unflatten(-1, (self.n_heads, -1)) * self.key_dim**-0.5  # (b, t, h, p_k)
        k = self.k(x).unflatten(-1, (self.n_heads, -1))  # (b, t, h, p_k)
        v = self.v(x).unflatten(-1, (self.n_heads, -1))  # (b, t, h, p)
        log_i, log_f = self._capped(self.igate_preact(x)), F.logsigmoid(self._capped(self.fgate_preact(x)))  # (b, t, h)
        y, cache = over_time(mlstm, q, k, v, log_i, log_f, state=cache, chunk_size=self.chunk_size)  # (b, t, h, p)
        return self.out_proj(torch.sigmoid(self.ogate_preact(x)) * self.multihead_norm(y)), cache

    def _capped(self, gate: Tensor) -> Tensor:
        gate = gate.to(state_dtype(gate.dtype))
        return self.gate_soft_cap * torch.tanh(gate / self.gate_soft_cap)


class MultiHeadNorm(nn.Module):
    """LayerNorm of each head separately, without bias: (b, t, heads, d) -> (b, t, heads · d)."""

    def __init__(self, features: int, head_dim: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.head_dim, self.eps = head_dim, eps

    def forward(self, y: Tensor) -> Tensor:
        normed = F.layer_norm(y.to(state_dtype(y.dtype)), (self.head_dim,), eps=self.eps)
        return self.weight * normed.to(y.dtype).flatten(2)
