"""mLSTM, the matrix memory of xLSTM: exponential input gates, and a normalizer. Introduced in 03e_family_since.

    C_t = f_t C_{t-1} + i_t k_t v_tᵀ,   n_t = f_t n_{t-1} + i_t k_t        (C: d_k × d_v, keys × values; n: d_k)
    y_t = q_t C_t / max(|q_t·n_t|, 1)                                      (f_t = e^{log_f_t}, i_t = e^{log_i_t})

`lecture17.reference.mlstm` batched, differentiable and fast. C and n are divided by e^m with a running maximum m, which
no result depends on. That makes it SSD on [v, 1], a value more for the normalizer:

    m_t = max(log_f_t + m_{t-1}, log_i_t, 0)
    S_t = e^{log_f_t + m_{t-1} - m_t} S_{t-1} + e^{log_i_t - m_t} k_t [v_t, 1]ᵀ,    [num_t, den_t] = q_t S_t
    y_t = num_t / max(|den_t|, e^{-m_t})

Both exponents are at most 0, so nothing overflows. Source: Beck et al., arXiv 2405.04517, Section 2.3 and the appendix
on the parallel form (its m has no 0). Arguments of all functions:

    Q, K: (batch, time, heads, d_k)     queries and keys, used as they are
    V: (batch, time, heads, d_v)        values; y has the same shape and type
    log_i: (batch, time, heads)         log input gates, of any sign; -inf writes nothing
    log_f: (batch, time, heads)         log forget gates, at most 0; -inf forgets everything before the token
    state                               (C, n, m): (batch, heads, d_k, d_v), (batch, heads, d_k), (batch, heads),
                                        C and n divided by e^m; zero if not given

16-bit inputs are summed in float32, the type of their state (log_i and log_f may be float32 too), exponents in float64.

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_f, a log_i that is NaN or inf, a number that is not finite, types or devices that differ, chunk_size < 1, or a
backend that cannot run raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks
from .cpu.scalar import Scalar
from .ssd import listing
from .validation import LOG_WEIGHT, check_backend, check_finite, checked_with, state_dtype

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
PerToken = Float[Tensor, "batch time heads"]
State = tuple[
    Float[Tensor, "batch heads d_k d_v"],  # C
    Float[Tensor, "batch heads d_k"],  # n
    Float[Tensor, "batch heads"],  # m
]

checked = checked_with(log_i=LOG_WEIGHT)


def _start(K: Tensor, V: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
    """S = [C, n] and m before the first token, m in float64: differences of large exponents keep their digits."""
    if state is None:
        S = V.new_zeros(len(V), V.shape[-2], K.shape[-1], V.shape[-1] + 1, dtype=state_dtype(V.dtype))
        return S, S.new_zeros(S.shape[:2], dtype=torch.float64)
    C, n, m = state
    return torch.cat([C, n[..., None]], -1), m.to(torch.float64)


def _finish(S: Tensor, scale: Tensor, m: Tensor) -> State:
    """The state with m rounded to the type of S, which is divided by e^scale, up to rounding the same."""
    m = m.to(S.dtype)
    S = _times(S, scale - m)
    return S[..., :-1].contiguous(), S[..., -1].contiguous(), m


def _times(S: Tensor, log: Tensor) -> Tensor:
    return S * log.exp().to(S.dtype)[..., None, None]


def _with_one(V: Tensor) -> Tensor:
    """[v, 1], in the type of the state."""
    return torch.cat([V, torch.ones_like(V[..., :1])], -1).to(state_dtype(V.dtype))


def _divide(read: Tensor, m: Tensor) -> Tensor:
    """num / max(|den|, e^{-m}). e^{-m} is not let underflow to 0: num and den may both be 0."""
    smallest = torch.finfo(read.dtype).tiny
    return read[..., :-1] / torch.maximum(read[..., -1:].abs(), m.neg().exp().clamp(min=smallest)[..., None])


@torch.no_grad()
def running_maximum(log_i: Tensor, log_f: Tensor, m: Tensor) -> Tensor:
    """m before the first token and after each, (batch, time + 1, heads), from the m before the first.

    The maps m ↦ max(log_f + m, log_i) combine to maps of the same kind. There are about √time pieces of √time tokens:
    first all pieces are scanned side by side, then each piece in turn gets what the pieces before it left.
    """
    batch, time, heads = log_i.shape
    pieces = max(1, round(time**0.5))
    length = -(-time // pieces)
    missing = (0, 0, 0, pieces * length - time)  # tokens that change nothing
    most = torch.nn.functional.pad(log_i, missing, value=0.0).clamp(min=0)
    kept = torch.nn.functional.pad(log_f, missing, value=0.0)
    most, kept = (x.view(batch, pieces, length, heads).contiguous() for x in (most, kept))
    for t in range(1, length):
        most[:, :, t] = torch.maximum(most[:, :, t], kept[:, :, t] + most[:, :, t - 1])
    kept = kept.cumsum(2)
    before = m
    for piece in range(pieces):
        most[:, piece] = torch.maximum(most[:, piece], kept[:, piece] + before[:, None])
        before = most[:, piece, -1] if length else before
    return torch.cat([m[:, None], most.flatten(1, 2)[:, :time]], 1)


def _by_chunks(
    Q: Tensor, K: Tensor, V: Tensor, log_i: Tensor, log_f: Tensor, state: State | None, chunk_size: int
) -> tuple[Tensor, State]:
    """One SSD. m stands for constants in y, which does not depend on it; in the state it has its gradient."""
    check_finite(V=V)
    S, m = _start(K, V, state)
    if V.shape[1] == 0:
        return V.clone(), _finish(S, m, m)
    log_i, log_f = log_i.to(torch.float64), log_f.to(torch.float64)
    constant = running_maximum(log_i, log_f, m)
    writes = _with_one(V) * (log_i - constant[:, 1:]).exp().to(S.dtype)[..., None]
    log_a = log_f + (constant[:, :-1] - constant[:, 1:])
    S = _times(S, m - constant[:, 0])  # by 1, with the gradient of m
    read, S = by_chunks(listing, Scalar, {"V": writes, "log_a": log_a, "K": K, "Q": Q}, S, writes, chunk_size)

    to_end = log_f.flip(1).cumsum(1).flip(1)  # of the token itself too
    exponents = torch.cat([m[:, None] + to_end[:, :1], log_i[:, :-1] + to_end[:, 1:], log_i[:, -1:]], 1)
    y = _divide(read, constant[:, 1:].to(S.dtype)).to(V.dtype)
    return y, _finish(S, constant[:, -1], exponents.amax(1).relu())


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, log_i: PerToken, log_f: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²): the matrix of the whole sequence, which is one chunk of `chunkwise`.

    M[i, j] = D[i, j] q_i·k_j / max(|Σ_l D[i, l] q_i·k_l|, 1),    D[i, j] = i_j f_{j+1} … f_i    for i ≥ j, 0 above
    """
    return _by_chunks(Q, K, V, log_i, log_f, state, max(1, V.shape[1]))


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_i: PerToken, log_f: PerToken, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): the stable form, from token to token. Source: arXiv 2405.04517, Section 2.3."""
    sequences = {"Q": Q, "K": K, "V": V, "log_i": log_i, "log_f": log_f}
    y, (S, m) = _recurrence.by_tokens(_step, sequences, _start(K, V, state), V)
    return y, _finish(S, m, m)


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    log_i: PerToken,
    log_f: PerToken,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """Quadratic inside a chunk, recurrent between chunks, O(N·chunk_size): SSD's chunkwise form on scaled values."""
    check_backend(backend, V)
    return _by_chunks(Q, K, V, log_i, log_f, state, chunk_size)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    log_i_t: Float[Tensor, "batch heads"],
    log_f_t: Float[Tensor, "batch heads"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "log_i_t": log_i_t, "log_f_t": log_f_t}
    y_t, (S, m) = _recurrence.one_token(_step, token, _start(k_t, v_t, state))
    return y_t, _finish(S, m, m)


def _step(
    q_t: Tensor, k_t: Tensor, v_t: Tensor, log_i_t: Tensor, log_f_t: Tensor, state: tuple[Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    S, m = state
    log_i, kept = log_i_t.to(m.dtype), log_f_t.to(m.dtype) + m
    m = torch.maximum(kept, log_i).relu()
    written = _times(k_t.to(S.dtype)[..., :, None] * _with_one(v_t)[..., None, :], log_i - m)
    S = _times(S, kept - m) + written
    read = (q_t.to(S.dtype)[..., None, :] @ S)[..., 0, :]
    return _divide(read, m.to(S.dtype)).to(v_t.dtype), (S, m)
