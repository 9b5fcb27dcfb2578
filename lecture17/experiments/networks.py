"""Small networks whose mixers differ in one thing only: the transition of their state. Introduced in 03d_expressivity.

Each mixer but KDA is trained in its parallel form, a matrix over all pairs of tokens. Nothing decays unless its line
says so, and there is no convolution, which would let a layer see more than one token at once, except where `Convolved`
adds one.

    LinearAttention    S_t = S_{t-1} + k_t v_tᵀ
    ScalarDecay        S_t = a_t S_{t-1} + k_t v_tᵀ,    a_t in (0, 1) or (-1, 1)
    Rotation           S_t = R(θ_t) S_{t-1} + k_t v_tᵀ,    every pair of the state's rows rotated by its own angle
    DeltaRule          S_t = (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ,    once or several times a token (DeltaProduct)
    KDA                S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ,    α_t in (0, 1) for every key
    all                y_t = W_o RMSNorm(q_t S_t),    per head, from x: (batch, time, d_model) to the same shape
    Convolved(d_model, ScalarDecay, width=2, …)    its own convolution on each of the queries, keys and values

A recall task needs the convolution: a fact is two tokens, and a layer that writes one token at a time cannot bind the
value to its key unless something shows it both. The functions below take q, k: (batch, heads, time, d_state) and v:
(batch, heads, time, d_v).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..layers import block_of
from ..layers.attention import rotated
from ..layers.mixer import rotate
from ..ops import kda
from ..ops.validation import shapes_checked
from .tasks import Task

Keys = Float[Tensor, "batch heads time d_state"]
Values = Float[Tensor, "batch heads time d_v"]

Recipe = Callable[[], nn.Module]
Model = TypeVar("Model", bound=nn.Module)

MLP_RATIO = 2
GATE_STD = 0.5  # first weights of the gates: large, so that some head tells the tokens apart from the start


@shapes_checked
def scalar_decay(q: Keys, k: Keys, v: Values, a: Float[Tensor, "batch heads time"]) -> Values:
    """y = (L ∘ q kᵀ) v with L[i, j] = a_{j+1} … a_i, where a may be negative or zero."""
    below = torch.ones(a.shape[-1], a.shape[-1], dtype=torch.bool).tril(-1)
    L = torch.where(below, a[..., :, None], 1.0).cumprod(-2).tril()  # the product form of segsum
    return (L * (q @ k.mT)) @ v


@shapes_checked
def rotation(q: Keys, k: Keys, v: Values, theta: Float[Tensor, "batch heads time pairs"]) -> Values:
    """y = tril(q̃ k̃ᵀ) v, q and k rotated by the sum of all angles so far: between two tokens the difference acts."""
    angle = theta.cumsum(-2)
    return (rotate(q, angle) @ rotate(k, angle).mT).tril() @ v


@shapes_checked
def delta_rule(
    q: Keys,
    k: Float[Tensor, "batch heads steps d_state"],
    v: Float[Tensor, "batch heads steps d_v"],
    beta: Float[Tensor, "batch heads steps"],
) -> Values:
    """y = tril(q kᵀ) u, where u solves the unit triangular system (I + diag(β) tril(k kᵀ, -1)) u = diag(β) v.

    k, v and beta hold one or several steps per token, in order; a token reads after the last of its own steps. Raises
    ValueError if the steps cannot be shared out evenly.
    """
    steps, rest = divmod(k.shape[-2], q.shape[-2])
    if rest:
        raise ValueError(f"k has {k.shape[-2]} steps for the {q.shape[-2]} tokens of q: expected a multiple")
    system = beta[..., None] * (k @ k.mT).tril(-1)  # the unit diagonal is understood
    u = torch.linalg.solve_triangular(system, beta[..., None] * v, upper=False, unitriangular=True)
    last_step = torch.arange(steps - 1, k.shape[-2], steps)
    seen = torch.arange(k.shape[-2]) <= last_step[:, None]
    return (seen * (q @ k.mT)) @ u


class _Heads(nn.Module):
    """What the mixers share: queries, keys, values and a gate from x, heads, a norm and the output projection."""

    def __init__(self, d_model: int, n_heads: int, d_state: int, gates: int, steps: int = 1):
        super().__init__()
        self.n_heads = n_heads
        self.q = nn.Linear(d_model, n_heads * d_state, bias=False)
        self.k = nn.Linear(d_model, steps * n_heads * d_state, bias=False)
        self.v = nn.Linear(d_model, steps * d_model, bias=False)
        self.gate = nn.Linear(d_model, steps * n_heads * gates)
        nn.init.normal_(self.gate.weight, std=GATE_STD)
        nn.init.zeros_(self.gate.bias)
        self.norm = nn.RMSNorm(d_model // n_heads)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.steps = steps

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        q = self._split(self.q(x), 1)
        k, v, gate = (self._split(linear(x), self.steps) for linear in (self.k, self.v, self.gate))
        y = self.norm(self.mix(q, k, v, gate))  # (b, h, t, p)
        return self.out(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor, steps: int) -> Tensor:
        """(b, t, steps · h · width) as (b, h, t · steps, width)."""
        return x.unflatten(2, (steps, self.n_heads, -1)).flatten(1, 2).transpose(1, 2)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        raise NotImplementedError


class ScalarDecay(_Heads):
    """One number per token and head: a_t = σ(w·x_t + b) in (0, 1), or with negative=True tanh(w·x_t + b) in (-1, 1).

    `bias` is the initial value of b; with a large one, hardly anything decays at the start of training.
    """

    def __init__(self, d_model: int, n_heads: int, d_state: int, negative: bool, bias: float = 0.0):
        super().__init__(d_model, n_heads, d_state, gates=1)
        self.bound = torch.tanh if negative else torch.sigmoid
        nn.init.constant_(self.gate.bias, bias)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        return scalar_decay(q, k, v, self.bound(gate[..., 0]))


class Rotation(_Heads):
    """One angle per token, head and pair: θ_t = π tanh(w·x_t + b), as in Mamba-3; nothing decays."""

    def __init__(self, d_model: int, n_heads: int, d_state: int):
        super().__init__(d_model, n_heads, d_state, gates=d_state // 2)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        return rotation(q, k, v, math.pi * torch.tanh(gate))


class DeltaRule(_Heads):
    """β_t = beta_max σ(w·x_t + b) and keys of length 1; `steps` of them one after the other for each token.

    The eigenvalues of a step are 1 and 1 - β: in (0, 1] for beta_max = 1, in (-1, 1] for beta_max = 2.
    """

    def __init__(self, d_model: int, n_heads: int, d_state: int, beta_max: float, steps: int = 1):
        super().__init__(d_model, n_heads, d_state, gates=1, steps=steps)
        self.beta_max = beta_max

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        return delta_rule(q, F.normalize(k, dim=-1), v, self.beta_max * torch.sigmoid(gate[..., 0]))


class KDA(_Heads):
    """Kimi Delta Attention: a step of `DeltaRule`, after every key has decayed by its own α_t = σ(w·x_t + b).

    The eigenvalues are real: they are those of diag(α)^½ (I - β k kᵀ) diag(α)^½, and none is negative for beta_max = 1.
    """

    def __init__(self, d_model: int, n_heads: int, d_state: int, beta_max: float):
        super().__init__(d_model, n_heads, d_state, gates=1 + d_state)
        self.beta_max = beta_max

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        q, k, v, gate = (x.transpose(1, 2) for x in (q, F.normalize(k, dim=-1), v, gate))  # (b, t, h, …)
        log_alpha, beta = F.logsigmoid(gate[..., 1:]), self.beta_max * torch.sigmoid(gate[..., 0])
        return kda.chunkwise(q, k, v, log_alpha, beta)[0].transpose(1, 2)


class CausalConv(nn.Conv1d):
    """y_t = b + w_0 ∘ x_t + w_1 ∘ x_{t-1} + … over the last `width` tokens, (batch, time, channels) to the same."""

    def __init__(self, channels: int, width: int):
        super().__init__(channels, channels, width, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x.transpose(1, 2), (self.kernel_size[0] - 1, 0))).transpose(1, 2)


class Softmax(_Heads):
    """Causal softmax attention with the projections, heads and norm that the other small mixers have.

    rope: whether queries and keys are rotated by their positions, as in `Attention`.
    """

    def __init__(self, d_model: int, n_heads: int, rope: bool = False):
        super().__init__(d_model, n_heads, d_model // n_heads, gates=1)
        self.rope = rope

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        if self.rope:
            q, k = rotated(q, k, 0)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class LinearAttention(_Heads):
    """Causal linear attention, S_t = S_{t-1} + k_t v_tᵀ: nothing decays and nothing is removed."""

    def __init__(self, d_model: int, n_heads: int, d_state: int):
        super().__init__(d_model, n_heads, d_state, gates=1)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        return (q @ k.mT).tril() @ v


class Convolved(nn.Module):
    """A mixer whose queries, keys and values each go through a convolution over `width` tokens first."""

    def __init__(self, d_model: int, inner: Callable[..., _Heads], width: int, **options: Any):
        super().__init__()
        self.mixer = inner(d_model, **options)
        for name in ("q", "k", "v"):
            linear = getattr(self.mixer, name)
            setattr(self.mixer, name, nn.Sequential(linear, CausalConv(linear.out_features, width)))

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(x)


class Network(nn.Module):
    """An embedding, blocks of mixer and MLP, a norm and a linear map to the classes.

    positions: how many places have a learned vector of their own, which is added to the token's; 0 for none.
    """

    def __init__(
        self,
        n_tokens: int,
        n_classes: int,
        d_model: int,
        mixer: Callable[[int], nn.Module],
        layers: int,
        positions: int,
        mlp_ratio: int = MLP_RATIO,
    ):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, d_model)
        self.position = nn.Parameter(torch.randn(positions, d_model)) if positions else None
        self.blocks = nn.Sequential(*(block_of(mixer(d_model), d_model, mlp_ratio) for _ in range(layers)))
        self.norm = nn.RMSNorm(d_model)
        self.head = nn.Linear(d_model, n_classes)

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time n_classes"]:
        x = self.embedding(tokens)
        if self.position is not None:
            x = x + self.position[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def network(
    task: Task,
    mixer: Callable[..., nn.Module],
    *,
    d_model: int = 16,
    layers: int = 1,
    positions: int = 0,
    mlp_ratio: int = MLP_RATIO,
    **options: Any,
) -> Recipe:
    """A recipe for a `Network` for `task`: call it to make one. `options` are the mixer's.

    A recipe and not a network, so that each training makes its own from its own seed, in its own process.
    """
    made = partial(mixer, **options)
    sizes = {"layers": layers, "positions": positions, "mlp_ratio": mlp_ratio}
    return partial(Network, task.n_tokens, task.n_classes, d_model, made, **sizes)


def seeded(recipe: Callable[[], Model], seed: int) -> Model:
    """`recipe()` with the initial values of this seed; the caller's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipe()
