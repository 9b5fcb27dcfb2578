"""State-space duality (Mamba-2's core): a state with one scalar decay per token and head. Introduced in 03b_duality.

    S_t = e^{log_a_t} S_{t-1} + B_t x_tᵀ,    y_t = C_t S_t          (S: d_state × d, keys × values)

`lecture17.reference.ssd` batched, differentiable and fast. Source: Dao and Gu, arXiv 2405.21060, Sections 5 and 6.
Arguments of all functions:

    x: (batch, time, heads, d)              the input; y has the same shape and type
    log_a: (batch, time, heads)             log decays, at most 0; -inf forgets everything before the token
    B, C: (batch, time, groups, d_state)    heads % groups == 0, head h uses group h // (heads // groups)
    state: (batch, heads, d_state, d)       before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state (log_a may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_a, a number that is not finite, types or devices that differ, heads that are not a multiple of groups, chunk_size
< 1, or a backend that cannot run raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks, segsum, to_chunks
from .cpu.blocks import from_chunks
from .cpu.scalar import Scalar
from .validation import check_backend, check_result, checked

Values = Float[Tensor, "batch time heads d"]
LogDecay = Float[Tensor, "batch time heads"]
Keys = Float[Tensor, "batch time groups d_state"]
State = Float[Tensor, "batch heads d_state d"]


def listing(
    x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Tensor, chunk_size: int = 64
) -> tuple[Tensor, Tensor]:
    """The four steps of `chunkwise`, each for all chunks at once. `ops/cpu/scalar.py` is the fast form on a CPU."""
    tokens, length, groups = x.shape[1], min(chunk_size, x.shape[1]), (B.shape[2], -1)
    x, log_a, B, C = (to_chunks(t.to(state.dtype), length) for t in (x, log_a, B, C))  # (c, b, h or g, L, …)
    x, log_a = x.unflatten(2, groups), log_a.unflatten(2, groups)  # (c, b, g, heads per group, L, …)
    decay = segsum(log_a).exp()  # from token j to token i

    # 1. The diagonal blocks of the matrix: attention inside the chunks.
    y = torch.einsum("cbgin,cbgjn,cbghij,cbghjd->cbghid", C, B, decay, x)
    # 2. What each chunk adds to the state.
    added = torch.einsum("cbgjn,cbghj,cbghjd->cbghnd", B, decay[..., -1, :], x)
    # 3. The states, from chunk to chunk.
    states = [state.unflatten(1, groups)]
    for a, S in zip(log_a.sum(-1).exp()[..., None, None], added, strict=True):
        states.append(a * states[-1] + S)
    # 4. What the tokens of each chunk read from the state before it.
    y = y + torch.einsum("cbgin,cbghi,cbghnd->cbghid", C, log_a.cumsum(-1).exp(), torch.stack(states[:-1]))
    return from_chunks(y.flatten(2, 3))[:, :tokens], states[-1].flatten(1, 2)


@checked
def parallel(x: Values, log_a: LogDecay, B: Keys, C: Keys, state: State | None = None) -> tuple[Values, State]:
    """The attention view, O(N²): the masked matrix of the whole sequence, which is one chunk of `chunkwise`.

        y = M x + (decay since the start) ∘ (C S_0),    M = L ∘ (C Bᵀ)

    Source: arXiv 2405.21060, Section 5.2.
    """
    S = _recurrence.start(state, B, x)
    return by_chunks(listing, Scalar, {"x": x, "log_a": log_a, "B": B, "C": C}, S, x, x.shape[1])


@checked
def recurrent(x: Values, log_a: LogDecay, B: Keys, C: Keys, state: State | None = None) -> tuple[Values, State]:
    """The SSM view, O(N): carry the state from token to token.

        S_t = e^{log_a_t} S_{t-1} + B_t x_tᵀ,    y_t = C_t S_t

    Source: arXiv 2405.21060, equation (2) with A_t = a_t I (Section 5.1).
    """
    S = _recurrence.start(state, B, x)
    return _recurrence.by_tokens(_recurrence.step, {"C": C, "B": B, "x": x, "log_a": log_a[..., None]}, S, x)


@checked
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

    Four steps, see `listing`: (1) the diagonal blocks of the matrix, (2) what each chunk adds to the state, (3) the
    states, from chunk to chunk, (4) what the incoming states contribute to y. Source: arXiv 2405.21060, Section 6.
    """
    kernels = check_backend(backend, x, "ssd")
    S = _recurrence.start(state, B, x)
    sequences = {"x": x, "log_a": log_a, "B": B, "C": C}
    if kernels is None:
        return by_chunks(listing, Scalar, sequences, S, x, chunk_size)
    y, S = kernels.chunkwise(x, log_a, B, C, S, chunk_size)
    return check_result(y, sequences), S


@checked
def step(
    x_t: Float[Tensor, "batch heads d"],
    log_a_t: Float[Tensor, "batch heads"],
    B_t: Float[Tensor, "batch groups d_state"],
    C_t: Float[Tensor, "batch groups d_state"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d"], State]:
    """One token of `recurrent`: S = e^{log_a_t} S + B_t x_tᵀ, y_t = C_t S; returns (y_t, S)."""
    token = {"C_t": C_t, "B_t": B_t, "x_t": x_t, "log_a_t": log_a_t[..., None]}
    return _recurrence.one_token(_recurrence.step, token, _recurrence.start(state, B_t, x_t))
