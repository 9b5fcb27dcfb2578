"""DeltaProduct: several steps of the delta rule a token, after one decay. Introduced in 03e_family_since.

    S_t = (I - β_tn k_tn k_tnᵀ) ⋯ (I - β_t1 k_t1 k_t1ᵀ) a_t S_{t-1} + what the n = n_h steps write,    y_t = q_t S_t

`lecture17.reference.delta_product` batched, differentiable and fast: the delta rule on a sequence n_h times as long, in
which the first step of each token decays and the last is read. Source: Siems et al., arXiv 2502.10297, Section 3.
Arguments of all functions:

    Q: (batch, time, heads, d_k)        queries
    K: (batch, time, n_h, heads, d_k)   keys, in the order of the steps; a step is a contraction for β |k|² in [0, 2]
    V: (batch, time, n_h, heads, d_v)   values; y is (batch, time, heads, d_v), of the same type
    beta: (batch, time, n_h, heads)     how much each step replaces: 0 nothing, 1 all (for unit keys), 2 a reflection
    log_a: (batch, time, heads)         log decays, at most 0, -inf allowed; None: no decay
    state: (batch, heads, d_k, d_v)     before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state (log_a may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, a number that is not finite, types or devices that differ, n_h or chunk_size < 1, or a backend that cannot run
raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from . import _recurrence, delta_rule
from ._chunks import by_chunks
from .cpu.delta_product import DeltaProduct
from .validation import check_at_least_one, check_backend, checked

Queries = Float[Tensor, "batch time heads d_k"]
Keys = Float[Tensor, "batch time n_h heads d_k"]
Values = Float[Tensor, "batch time n_h heads d_v"]
PerStep = Float[Tensor, "batch time n_h heads"]
PerToken = Float[Tensor, "batch time heads"]
Outputs = Float[Tensor, "batch time heads d_v"]
State = Float[Tensor, "batch heads d_k d_v"]


def listing(
    Q: Tensor, K: Tensor, V: Tensor, beta: Tensor, log_a: Tensor | None, state: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """`chunkwise` by that of the delta rule, a token for each step. `ops/cpu/delta_product.py` is faster on a CPU."""
    n_h = K.shape[2]
    Q = pad(Q[:, :, None], (0, 0, 0, 0, n_h - 1, 0))  # the last step of a token has its query, the others zeros
    log_a = None if log_a is None else pad(log_a[:, :, None], (0, 0, 0, n_h - 1)).flatten(1, 2)  # the first decays
    Q, K, V, beta = (x.flatten(1, 2) for x in (Q, K, V, beta))  # (b, T · n_h, h, …)
    y, state = delta_rule.listing(Q, K, V, beta, log_a, state, n_h * chunk_size)
    return y[:, n_h - 1 :: n_h], state


@checked
def parallel(
    Q: Queries, K: Keys, V: Values, beta: PerStep, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Outputs, State]:
    """The attention view, O((N · n_h)²): the delta rule on all steps, read at the last of each token."""
    S = _start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "beta": beta, "log_a": log_a}
    return by_chunks(listing, None, sequences, S, V[:, :, -1], V.shape[1])


@checked
def recurrent(
    Q: Queries, K: Keys, V: Values, beta: PerStep, log_a: PerToken | None = None, state: State | None = None
) -> tuple[Outputs, State]:
    """The SSM view, O(N): after the decay, n_h steps of gradient descent, the i-th on |v_ti - Sᵀ k_ti|²/2.

        S = a_t S_{t-1},    S = S + β_ti k_ti (v_ti - Sᵀ k_ti)ᵀ for i = 1 … n_h,    y_t = q_t S

    Source: arXiv 2502.10297, Section 3.
    """
    S = _start(state, K, V)
    sequences = {"Q": Q, "K": K, "V": V, "beta": beta, "log_a": log_a}
    return _recurrence.by_tokens(_step, sequences, S, V[:, :, -1])


@checked
def chunkwise(
    Q: Queries,
    K: Keys,
    V: Values,
    beta: PerStep,
    log_a: PerToken | None = None,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Outputs, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N); on a CPU in chunks of at most 16 tokens."""
    S = _start(state, K, V)
    check_backend(backend, V)
    sequences = {"Q": Q, "K": K, "V": V, "beta": beta, "log_a": log_a}
    return by_chunks(listing, DeltaProduct, sequences, S, V[:, :, -1], chunk_size)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch n_h heads d_k"],
    v_t: Float[Tensor, "batch n_h heads d_v"],
    beta_t: Float[Tensor, "batch n_h heads"],
    log_a_t: Float[Tensor, "batch heads"] | None = None,
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "beta_t": beta_t, "log_a_t": log_a_t}
    return _recurrence.one_token(_step, token, _start(state, k_t, v_t))


def _start(state: Tensor | None, K: Tensor, V: Tensor) -> Tensor:
    check_at_least_one(n_h=K.shape[-3])
    return _recurrence.start(state, K, V)


def _step(
    q_t: Tensor, k_t: Tensor, v_t: Tensor, beta_t: Tensor, log_a_t: Tensor | None, S: Tensor
) -> tuple[Tensor, Tensor]:
    q, k, v, beta = (z.to(S.dtype) for z in (q_t, k_t, v_t, beta_t))
    if log_a_t is not None:
        S = torch.exp(log_a_t.to(S.dtype))[..., None, None] * S
    for of_step in zip(k.unbind(1), v.unbind(1), beta.unbind(1), strict=True):
        S = delta_rule._replace(*of_step, S)
    return torch.einsum("bhk,bhkd->bhd", q, S).to(v_t.dtype), S
