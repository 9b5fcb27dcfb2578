"""State-space duality (Mamba-2's core): a state with one scalar decay per token and head. Introduced in 03b_duality.

    S_t = e^{log_a_t} S_{t-1} + B_t x_tᵀ,    y_t = C_t S_t          (S: d_state × d, keys × values)

`lecture17.reference.ssd` batched, differentiable and fast. Source: Dao and Gu, arXiv 2405.21060, Sections 5 and 6.
Arguments, all functions alike:

    x: (batch, time, heads, d)              what goes in; y has the same shape and type
    log_a: (batch, time, heads)             log decays, at most 0; -inf forgets everything before the token
    B, C: (batch, time, groups, d_state)    heads % groups == 0, head h uses group h // (heads // groups)
    state: (batch, heads, d_state, d)       before the first token, zero if not given; that after the last is returned

16-bit inputs are summed in float32, the type of their state (log_a may come in float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, a number that is not finite, types or devices that differ, heads that are no multiple of groups, chunk_size < 1,
or a backend that cannot run raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ._validation import (
    check_alike,
    check_backend,
    check_chunk_size,
    check_finite,
    check_groups,
    check_log_decay,
    shapes_checked,
    state_dtype,
)

Values = Float[Tensor, "batch time heads d"]
LogDecay = Float[Tensor, "batch time heads"]
Keys = Float[Tensor, "batch time groups d_state"]
State = Float[Tensor, "batch heads d_state d"]


def _check(x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Tensor | None) -> None:
    check_groups(x.shape[-2], B.shape[-2])
    check_alike(x=x, B=B, C=C, decays={"log_a": log_a}, state=state)
    check_log_decay(log_a=log_a)
    check_finite(x=x, B=B, C=C, state=state)


def _start(x: Tensor, B: Tensor) -> Tensor:
    """The state before the first token: zero."""
    return x.new_zeros(x.shape[0], x.shape[-2], B.shape[-1], x.shape[-1], dtype=state_dtype(x.dtype))


@shapes_checked
def recurrent(x: Values, log_a: LogDecay, B: Keys, C: Keys, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): carry the state from token to token. Source: arXiv 2405.21060, equation (2)."""
    _check(x, log_a, B, C, state)
    S = _start(x, B) if state is None else state
    y = []
    for t in range(x.shape[1]):
        y_t, S = _step(x[:, t], log_a[:, t], B[:, t], C[:, t], S)
        y.append(y_t)
    return (torch.stack(y, 1) if y else x.clone()), S


@shapes_checked
def parallel(x: Values, log_a: LogDecay, B: Keys, C: Keys, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): build the masked matrix and multiply. Source: arXiv 2405.21060, Section 5.2."""
    return recurrent(x, log_a, B, C, state)


@shapes_checked
def chunkwise(
    x: Values,
    log_a: LogDecay,
    B: Keys,
    C: Keys,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """The SSD algorithm, O(N·chunk_size): quadratic inside a chunk, recurrent between chunks.

    Source: arXiv 2405.21060, Section 6.
    """
    check_chunk_size(chunk_size)
    check_backend(backend, x)
    return recurrent(x, log_a, B, C, state)


@shapes_checked
def step(
    x_t: Float[Tensor, "batch heads d"],
    log_a_t: Float[Tensor, "batch heads"],
    B_t: Float[Tensor, "batch groups d_state"],
    C_t: Float[Tensor, "batch groups d_state"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d"], State]:
    """One token of `recurrent`: S = e^{log_a_t} S + B_t x_tᵀ, y_t = C_t S; returns (y_t, S)."""
    _check(x_t, log_a_t, B_t, C_t, state)
    return _step(x_t, log_a_t, B_t, C_t, _start(x_t, B_t) if state is None else state)


def _step(x_t: Tensor, log_a_t: Tensor, B_t: Tensor, C_t: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    per_group = x_t.shape[-2] // B_t.shape[-2]
    k, q = (z.to(S.dtype).repeat_interleave(per_group, dim=-2) for z in (B_t, C_t))
    S = torch.exp(log_a_t.to(S.dtype))[..., None, None] * S + k[..., :, None] * x_t.to(S.dtype)[..., None, :]
    return torch.einsum("bhk,bhkd->bhd", q, S).to(x_t.dtype), S
