"""Causal linear attention: nothing is forgotten. Introduced in 00_quickstart and 03b_duality.

    S_t = S_{t-1} + k_t v_tᵀ,   z_t = z_{t-1} + k_t           (S: d_k × d_v, keys × values; z: d_k)
    y_t = q_t S_t,              normalized: y_t = q_t S_t / (q_t·z_t)

`lecture17.reference.linear_attention` batched, differentiable and fast: SSD with log_a = 0; the normalizer is one more
output, whose value is 1 at every token. Feature maps are the caller's: Q and K are used as they are. Source:
Katharopoulos et al., arXiv 2006.16236, equations (16) to (20). Arguments of all functions:

    Q, K: (batch, time, heads, d_k)     queries and keys
    V: (batch, time, heads, d_v)        values; y has the same shape and type
    normalize: bool                     divide by q_t·z_t, so that the rows of the matrix sum to 1
    state                               S: (batch, heads, d_k, d_v), or with normalize the pair of S and
                                        z: (batch, heads, d_k); zero if not given

16-bit inputs are summed in float32, the type of their state.

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a number that is
not finite, types or devices that differ, chunk_size < 1, a backend that cannot run, or a normalizer q_t·z_t that is
zero raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks
from .cpu.scalar import Scalar
from .ssd import listing
from .validation import check_backend, checked, state_dtype
from .value_validation import require

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
State = (
    Float[Tensor, "batch heads d_k d_v"] | tuple[Float[Tensor, "batch heads d_k d_v"], Float[Tensor, "batch heads d_k"]]
)


def _start(K: Tensor, V: Tensor, normalize: bool, state: State | None) -> tuple[Tensor, Tensor, Tensor]:
    """Values, log decays and first state of the SSD to compute."""
    if state is not None and isinstance(state, tuple) != normalize:
        raise ValueError(
            "state is the pair (S, z) with normalize=True and the tensor S without: "
            f"got {'a pair' if isinstance(state, tuple) else 'a tensor'} with normalize={normalize}"
        )
    S, z = state if isinstance(state, tuple) else (state, None)
    if S is not None and z is not None:
        S = torch.cat([S, z[..., None]], -1)
    log_a = V.new_zeros(()).expand(V.shape[:-1])
    if normalize:
        V = V.to(state_dtype(V.dtype))
        V = torch.cat([V, torch.ones_like(V[..., :1])], -1)
    return V, log_a, _recurrence.start(S, K, V)


def _finish(y: Tensor, S: Tensor, V: Tensor, normalize: bool) -> tuple[Tensor, State]:
    """Undo what `_start` did to the values; V is what it was before."""
    if not normalize:
        return y, S
    y, normalizer = y[..., :-1], y[..., -1:]
    require(
        "Q and K",
        normalizer.all(),
        "Q and K from a positive feature map",
        lambda: (
            "normalize=True divides by q_t·z_t, which is 0 at [batch, …, head] = "
            f"{(normalizer == 0).nonzero()[0, :-1].tolist()}"
        ),
    )
    return (y / normalizer).to(V.dtype), (S[..., :-1].contiguous(), S[..., -1].contiguous())


@checked
def parallel(Q: Keys, K: Keys, V: Values, normalize: bool = False, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): the matrix of the whole sequence, which is one chunk of `chunkwise`.

    y = tril(Q Kᵀ) V + Q S_0,    divided by the row sums tril(Q Kᵀ) 1 + Q z_0 if normalize
    """
    values, log_a, S = _start(K, V, normalize, state)
    y, S = by_chunks(listing, Scalar, {"V": values, "log_a": log_a, "K": K, "Q": Q}, S, values, V.shape[1])
    return _finish(y, S, V, normalize)


@checked
def recurrent(Q: Keys, K: Keys, V: Values, normalize: bool = False, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = S_{t-1} + k_t v_tᵀ, z_t = z_{t-1} + k_t. Source: arXiv 2006.16236, (18) to (20)."""
    values, log_a, S = _start(K, V, normalize, state)
    sequences = {"Q": Q, "K": K, "V": values, "log_a": log_a[..., None]}
    y, S = _recurrence.by_tokens(_recurrence.step, sequences, S, values)
    return _finish(y, S, V, normalize)


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    normalize: bool = False,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size)."""
    check_backend(backend, V)
    values, log_a, S = _start(K, V, normalize, state)
    y, S = by_chunks(listing, Scalar, {"V": values, "log_a": log_a, "K": K, "Q": Q}, S, values, chunk_size)
    return _finish(y, S, V, normalize)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    normalize: bool = False,
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    values, log_a_t, S = _start(k_t, v_t, normalize, state)
    token = {"q_t": q_t, "k_t": k_t, "v_t": values, "log_a_t": log_a_t[..., None]}
    y_t, S = _recurrence.one_token(_recurrence.step, token, S)
    return _finish(y_t, S, v_t, normalize)
