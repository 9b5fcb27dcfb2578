"""Mesa: at every token the ridge regression of all values so far on their keys, solved exactly. For 03e_family_since.

    H_t = a_t H_{t-1} + β_t k_t k_tᵀ,    G_t = a_t G_{t-1} + β_t k_t v_tᵀ        (a_t = e^{log_a_t})
    y_t = G_tᵀ (H_t + diag(λ))⁻¹ q_t

`lecture17.reference.mesa` batched and differentiable. There is no chunkwise form here: published kernels approximate
the solution by conjugate gradients, so that no token needs a matrix of its own. Source: von Oswald et al.,
arXiv 2506.05233. Arguments of all functions:

    Q, K: (batch, time, heads, d_k)     queries and keys
    V: (batch, time, heads, d_v)        values; y has the same shape and type
    log_a: (batch, time, heads)         log decays, at most 0; -inf forgets everything before the token
    beta: (batch, time, heads)          weight of each token, at least 0
    lam: (heads, d_k)                   λ of each key dimension, above 0
    state                               (H, G): (batch, heads, d_k, d_k) and (batch, heads, d_k, d_v); zero if not given

16-bit inputs are summed in float32, the type of their state (log_a may be float32 too); systems are solved in float64.

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, a negative beta, a lam that is not above 0, a number that is not finite, or types or devices that differ raise
ValueError naming the argument.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from .validation import ABOVE_0, AT_LEAST_0, checked_with

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
PerToken = Float[Tensor, "batch time heads"]
Ridge = Float[Tensor, "heads d_k"]
State = tuple[Float[Tensor, "batch heads d_k d_k"], Float[Tensor, "batch heads d_k d_v"]]

checked = checked_with(beta=AT_LEAST_0, lam=ABOVE_0)


def _start(K: Tensor, V: Tensor, state: State | None) -> State:
    """The state (H, G) before the first token."""
    return (_recurrence.start(None, K, K), _recurrence.start(None, K, V)) if state is None else state


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_a: PerToken, beta: PerToken, lam: Ridge, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): two sums, and one linear system at every token."""
    sequences = {"Q": Q, "K": K, "V": V, "log_a": log_a, "beta": beta}
    return _recurrence.by_tokens(partial(_step, lam), sequences, _start(K, V, state), V)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    log_a_t: Float[Tensor, "batch heads"],
    beta_t: Float[Tensor, "batch heads"],
    lam: Ridge,
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "log_a_t": log_a_t, "beta_t": beta_t}
    return _recurrence.one_token(partial(_step, lam), token, _start(k_t, v_t, state))


def _step(
    lam: Tensor, q_t: Tensor, k_t: Tensor, v_t: Tensor, log_a_t: Tensor, beta_t: Tensor, state: State
) -> tuple[Tensor, State]:
    H, G = state
    q, k, v = (z.to(G.dtype) for z in (q_t, k_t, v_t))
    a, written = log_a_t.to(G.dtype).exp()[..., None, None], beta_t.to(G.dtype)[..., None, None] * k[..., :, None]
    H, G = a * H + written * k[..., None, :], a * G + written * v[..., None, :]
    solved = torch.linalg.solve(H.double() + torch.diag_embed(lam.double()), q.double()).to(G.dtype)
    return (solved[..., None, :] @ G)[..., 0, :].to(v_t.dtype), (H, G)
