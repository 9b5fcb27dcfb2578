"""Mamba-3's core: SSD with the trapezoidal rule and a complex (rotating) state. Introduced in 03c_memory.

    S_t = α_t S_{t-1} + β_t B̃_{t-1} x_{t-1}ᵀ + γ_t B̃_t x_tᵀ,    y_t = C̃_t S_t       (S: d_state × d, keys × values)
    α_t = e^{log_a_t},   β_t = (1 - λ_t) Δ_t α_t,   γ_t = λ_t Δ_t

B̃_t and C̃_t are B_t and C_t with the pairs (0, 1), (2, 3), … rotated by the angles θ_0 + … + θ_t.
`lecture17.reference.mamba3` batched, differentiable and fast. Source: Lahoti et al., arXiv 2603.15569, Section 3.

Apart from each token's own write, this is one SSD whose input comes one token late. With T_t the state before the own
write,

    T_t = α_t T_{t-1} + B̃_{t-1} u_tᵀ,    u_t = α_t (γ_{t-1} + (1 - λ_t) Δ_t) x_{t-1}
    S_t = T_t + γ_t B̃_t x_tᵀ,            y_t = C̃_t T_t + γ_t (C_t·B_t) x_t

where C̃_t·B̃_t = C_t·B_t, because both are rotated by the same angles. Arguments of all functions:

    x: (batch, time, heads, d)                      the input; y has the same shape and type
    delta: (batch, time, heads)                     step size Δ, at least 0
    lam: (batch, time, heads)                       λ in [0, 1], how much of a step's input is taken at its end
    log_a: (batch, time, heads)                     log decays, at most 0; -inf forgets everything before the token
    theta: (batch, time, heads, d_state // 2)       angle added at each token, in radians, for each pair
    B, C: (batch, time, groups, d_state)            heads % groups == 0, head h uses group h // (heads // groups)
    state                                           opaque: pass on what was returned, None at the start

16-bit inputs are summed in float32, the type of their state (delta and log_a may be float32 too); angles in float64.

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, delta < 0, lam outside [0, 1], a number that is not finite, types or devices that differ, heads that are not a
multiple of groups, chunk_size < 1, or a backend that cannot run raises ValueError naming the argument.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks
from .cpu.memory import empty_result
from .cpu.scalar import Scalar
from .ssd import listing
from .validation import (
    also_checked_by,
    check_arguments,
    check_backend,
    check_finite,
    check_groups,
    check_result,
    state_dtype,
)

Values = Float[Tensor, "batch time heads d"]
PerToken = Float[Tensor, "batch time heads"]
Angles = Float[Tensor, "batch time heads n_pairs"]
Keys = Float[Tensor, "batch time groups 2*n_pairs"]
State = tuple[
    Float[Tensor, "batch heads 2*n_pairs d"],  # S
    Float[Tensor, "batch heads n_pairs"],  # the angle so far, float64
    Float[Tensor, "batch heads 2*n_pairs"],  # B̃ of the last token
    Float[Tensor, "batch heads d"],  # x of the last token
]

SEGMENT = 1024  # tokens whose rotated B and C are held in memory at a time


def _check(state: State | None = None, **arguments: Any) -> None:
    """`check_arguments`, but the angle of the state is always float64."""
    S, angle, *last = (None, None) if state is None else state
    check_arguments((S, *last), **arguments)
    check_finite(state=angle)


_checked = also_checked_by(_check)


def _start(x: Tensor, B: Tensor, state: State | None) -> State:
    """The state before the first token."""
    check_groups(x.shape[-2], B.shape[-2])
    if state is not None:
        return state
    S = _recurrence.start(None, B, x)
    batch, heads, d_state, d = S.shape
    angle = S.new_zeros(batch, heads, d_state // 2, dtype=torch.float64)
    return S, angle, S.new_zeros(batch, heads, d_state), S.new_zeros(batch, heads, d)


def _rotated(X: Tensor, angle: Tensor) -> Tensor:
    """The pairs (0, 1), (2, 3), … of the last axis rotated by the float64 `angle`; groups become heads."""
    turns = 2 * math.pi
    angle = (angle - turns * torch.round(angle.detach() / turns)).to(state_dtype(X.dtype))
    pairs = X.to(angle.dtype).contiguous().unflatten(-1, (-1, 2))  # both numbers of a pair side by side
    pairs = torch.view_as_complex(pairs)  # (..., groups, n_pairs)
    pairs = pairs.repeat_interleave(angle.shape[-2] // X.shape[-2], -2)
    return torch.view_as_real(pairs * torch.complex(angle.cos(), angle.sin())).flatten(-2)


def _before(first: Tensor, sequence: Tensor) -> Tensor:
    """The sequence one token late: `first`, then all but the last."""
    return torch.cat([first[:, None], sequence[:, :-1]], 1)


def _segment(chunk_size: int, state: State, *arguments: Tensor) -> tuple[Tensor, State]:
    """The sequence by one SSD in the chunkwise form."""
    (S, angle, B_last, x_last), (x, delta, lam, log_a, theta, B, C) = state, arguments
    wide = S.dtype
    angles = angle[:, None] + theta.to(torch.float64).cumsum(1)
    B_turned, C_turned = _rotated(B, angles), _rotated(C, angles)
    x_wide, lam, delta = x.to(wide), lam.to(wide), delta.to(wide)
    gamma = lam * delta
    late = log_a.to(wide).exp() * (_before(torch.zeros_like(gamma[:, 0]), gamma) + (1 - lam) * delta)
    u = late[..., None] * _before(x_last, x_wide)
    late_by_one = {"x": u, "log_a": log_a, "B": _before(B_last, B_turned), "C": C_turned}
    y, T = by_chunks(listing, Scalar, late_by_one, S, u, chunk_size, told={})
    own = (C.to(wide) * B.to(wide)).sum(-1).repeat_interleave(x.shape[2] // B.shape[2], -1)
    y = y + (gamma * own)[..., None] * x_wide
    S = T + (gamma[:, -1, :, None] * B_turned[:, -1])[..., None] * x_wide[:, -1, :, None, :]
    # Copies, so that the state does not keep the whole sequences alive.
    return y.to(x.dtype), (S, angles[:, -1].clone(), B_turned[:, -1].clone(), x_wide[:, -1].clone())


@_checked
def parallel(
    x: Values,
    delta: PerToken,
    lam: PerToken,
    log_a: PerToken,
    theta: Angles,
    B: Keys,
    C: Keys,
    state: State | None = None,
) -> tuple[Values, State]:
    """The attention view, O(N²): the masked matrix of the whole sequence, which is one chunk of `chunkwise`."""
    first = _start(x, B, state)
    if x.shape[1] == 0:
        return x.clone(), first
    sequences = {"x": x, "delta": delta, "lam": lam, "log_a": log_a, "theta": theta, "B": B, "C": C}
    y, after = _segment(x.shape[1], first, *sequences.values())
    return check_result(y, sequences), after


@_checked
def recurrent(
    x: Values,
    delta: PerToken,
    lam: PerToken,
    log_a: PerToken,
    theta: Angles,
    B: Keys,
    C: Keys,
    state: State | None = None,
) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = α_t S_{t-1} + β_t B̃_{t-1} x_{t-1}ᵀ + γ_t B̃_t x_tᵀ, y_t = C̃_t S_t."""
    after = _start(x, B, state)
    sequences = {"x": x, "delta": delta, "lam": lam, "log_a": log_a, "theta": theta, "B": B, "C": C}
    return _recurrence.by_tokens(_step, sequences, after, x)


@_checked
def chunkwise(
    x: Values,
    delta: PerToken,
    lam: PerToken,
    log_a: PerToken,
    theta: Angles,
    B: Keys,
    C: Keys,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): SSD's chunkwise form on rotated B and C."""
    check_backend(backend, x)
    after = _start(x, B, state)
    segment = chunk_size * max(1, SEGMENT // chunk_size)
    y, parts = empty_result(x), []
    sequences = {"x": x, "delta": delta, "lam": lam, "log_a": log_a, "theta": theta, "B": B, "C": C}
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    for *pieces, place in zip(*(a.split(segment, 1) for a in (*sequences.values(), y)), strict=True):
        if place.shape[1]:
            part, after = _segment(chunk_size, after, *pieces)
            total += part.detach().sum()  # while it is in the cache
            parts.append(part if part.requires_grad else place.copy_(part))
    y = torch.cat(parts, 1) if any(part.requires_grad for part in parts) else y
    return check_result(y, sequences, total.isfinite()), after


@_checked
def step(
    x_t: Float[Tensor, "batch heads d"],
    delta_t: Float[Tensor, "batch heads"],
    lam_t: Float[Tensor, "batch heads"],
    log_a_t: Float[Tensor, "batch heads"],
    theta_t: Float[Tensor, "batch heads n_pairs"],
    B_t: Float[Tensor, "batch groups 2*n_pairs"],
    C_t: Float[Tensor, "batch groups 2*n_pairs"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {
        "x_t": x_t,
        "delta_t": delta_t,
        "lam_t": lam_t,
        "log_a_t": log_a_t,
        "theta_t": theta_t,
        "B_t": B_t,
        "C_t": C_t,
    }
    return _recurrence.one_token(_step, token, _start(x_t, B_t, state))


def _step(*token_and_state: Any) -> tuple[Tensor, State]:
    x_t, delta_t, lam_t, log_a_t, theta_t, B_t, C_t, (S, angle, B_last, x_last) = token_and_state
    angle = angle + theta_t
    B, C, x = _rotated(B_t, angle), _rotated(C_t, angle), x_t.to(S.dtype, copy=True)
    alpha = log_a_t.to(S.dtype).exp()[..., None, None]
    delta, lam = (z.to(S.dtype)[..., None, None] for z in (delta_t, lam_t))
    S = alpha * (S + (1 - lam) * delta * B_last[..., :, None] * x_last[..., None, :])
    S = S + lam * delta * B[..., :, None] * x[..., None, :]
    return (C[..., None, :] @ S)[..., 0, :].to(x_t.dtype), (S, angle, B, x)
