"""Retention (RetNet's core): one decay per head, the same for all tokens. Introduced in 01_tour and 03c_family.

    S_t = γ S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t                    (S: d_k × d_v, keys × values)

`lecture17.reference.retention` batched, differentiable and fast: SSD with log_a = log γ. Nothing is normalized here;
xPos, the scale of k and GroupNorm belong to the layer. Source: Sun et al., arXiv 2307.08621, Section 2.1. Arguments of
all functions:

    Q, K: (batch, time, heads, d_k)     queries and keys
    V: (batch, time, heads, d_v)        values; y has the same shape and type
    gamma: number or (heads,)           γ in [0, 1], of any float type: what is left of the state after one token
    state: (batch, heads, d_k, d_v)     before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state. Gradients flow to gamma too, except where it is 0: there,
as for a log decay of -inf, the gradient is 0.

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; gamma outside
[0, 1], a number that is not finite, types or devices that differ, chunk_size < 1, or a backend that cannot run raises
ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks
from .cpu.scalar import Scalar
from .ssd import listing
from .validation import check_backend, check_within, checked

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
Gamma = Float[Tensor, " heads"] | float
State = Float[Tensor, "batch heads d_k d_v"]


def _start(K: Tensor, V: Tensor, gamma: Tensor | float, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Check gamma; returns log decays, (batch, time, heads), and the first state."""
    if isinstance(gamma, Tensor):
        gamma = gamma.to(V.device, torch.float64)
    else:  # filled there: a copy would wait for the device
        gamma = torch.full((), gamma, dtype=torch.float64, device=V.device)
    check_within(0, 1, "gamma", gamma)
    forgets = gamma == 0
    log_gamma = torch.where(forgets, -torch.inf, torch.where(forgets, 1, gamma).log())
    return log_gamma.expand(V.shape[:-1]), _recurrence.start(state, K, V)


@checked
def parallel(Q: Keys, K: Keys, V: Values, gamma: Gamma, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): the masked matrix of the whole sequence, which is one chunk of `chunkwise`.

        y_i = (M V)_i + γ^{i+1} q_i S_0,    M = D ∘ (Q Kᵀ),    D[i, j] = γ^{i-j} for i ≥ j

    Source: arXiv 2307.08621, Section 2.1.
    """
    log_a, S = _start(K, V, gamma, state)
    return by_chunks(listing, Scalar, {"V": V, "log_a": log_a, "K": K, "Q": Q}, S, V, V.shape[1])


@checked
def recurrent(Q: Keys, K: Keys, V: Values, gamma: Gamma, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = γ S_{t-1} + k_t v_tᵀ, y_t = q_t S_t."""
    log_a, S = _start(K, V, gamma, state)
    return _recurrence.by_tokens(_recurrence.step, {"Q": Q, "K": K, "V": V, "log_a": log_a[..., None]}, S, V)


@checked
def chunkwise(
    Q: Keys, K: Keys, V: Values, gamma: Gamma, state: State | None = None, chunk_size: int = 64, backend: str = "auto"
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size). Source: arXiv 2307.08621, Section 2.1."""
    check_backend(backend, V)
    log_a, S = _start(K, V, gamma, state)
    return by_chunks(listing, Scalar, {"V": V, "log_a": log_a, "K": K, "Q": Q}, S, V, chunk_size)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    gamma: Gamma,
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    log_a_t, S = _start(k_t, v_t, gamma, state)
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "log_a_t": log_a_t[..., None]}
    return _recurrence.one_token(_recurrence.step, token, S)
