"""RWKV-7's generalized delta rule: vector decay, and removal along one direction. Introduced in 01_tour and 03c_memory.

    S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ,    y_t = r_t S_t    (S: d_k × d_v, keys × values)

`lecture17.reference.rwkv7` batched, differentiable and fast; the removal reads the state before this token's decay.
Source: Peng et al., arXiv 2503.14456, Sections 3 and 4. Arguments of all functions, in the order r, log_w, k, v, kappa,
a:

    r, k: (batch, time, heads, d_k)     receptance (the query) and key
    log_w: (batch, time, heads, d_k)    log of the decay, at most 0; -inf forgets everything under that key
    v: (batch, time, heads, d_v)        values; y has the same shape and type
    kappa: (batch, time, heads, d_k)    removal direction κ̂ of each token, of length 1 (or 0: remove nothing)
    a: (batch, time, heads, d_k)        in-context learning rate, how much is removed per key
    state: (batch, heads, d_k, d_v)     before the first token (default zero); returned as it is after the last

16-bit inputs are summed in float32, the type of their state (log_w may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_w, a kappa of another length, a number that is not finite, types or devices that differ, chunk_size < 1, or a
backend that cannot run raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import by_chunks, decayed_scores, to_chunks
from .cpu.blocks import from_chunks
from .cpu.rwkv7 import RWKV7
from .validation import check_backend, check_result, checked, checked_except
from .value_validation import check_values

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
State = Float[Tensor, "batch heads d_k d_v"]


def listing(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor, state: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """`chunkwise`, all chunks at once except for the states. `ops/cpu/rwkv7.py` is the fast form on a CPU."""
    tokens, length = v.shape[1], min(chunk_size, v.shape[1])
    r, log_w, k, v, kappa, a = (to_chunks(x, length) for x in (r, log_w, k, v, kappa, a))  # (c, b, h, L, d)
    w = log_w.exp()
    # A token finds S_{t-1}ᵀ κ̂_t, and reads with r_t what is written up to and with itself, by a ∘ κ̂ and by k.
    keys = torch.stack([a * kappa, k], -3)
    M, queries, keys_at_end, whole = decayed_scores(torch.stack([kappa, r * w], -3), keys, w)
    own = torch.diag_embed((r[..., None, :, :] * keys).sum(-1))  # r_t also reads what token t writes
    (N, finds_of_v), (reads_of_found, reads_of_v) = (x.unbind(-2) for x in M.unbind(-4))
    finds, reads = queries.unbind(-3)
    removals, writes = keys_at_end.unbind(-3)
    reads_of_found, reads_of_v = reads_of_found + own[..., 0, :, :], reads_of_v + own[..., 1, :, :]

    # Without the removals in the chunk tokens would find F = finds S + finds_of_v V, so (I + N) found = F.
    right = torch.cat([finds_of_v @ v, finds], -1)
    solved = torch.linalg.solve_triangular(N, right, upper=False, unitriangular=True)
    found_of_v, found_of_S = solved.split([v.shape[-1], k.shape[-1]], -1)
    read_of_v, written = reads_of_v @ v, writes.mT @ v
    y, S = [], state
    for i in range(len(r)):
        found = found_of_v[i] + found_of_S[i] @ S
        y.append(reads[i] @ S + read_of_v[i] - reads_of_found[i] @ found)
        S = whole[i][..., None] * S + written[i] - removals[i].mT @ found
    return from_chunks(torch.stack(y))[:, :tokens], S


@checked
def parallel(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve: find what is removed, then read both writes."""
    S = _recurrence.start(state, k, v)
    sequences = {"r": r, "log_w": log_w, "k": k, "v": v, "kappa": kappa, "a": a}
    return by_chunks(listing, None, sequences, S, v, v.shape[1])


@checked
def recurrent(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ, y_t = r_t S_t."""
    S = _recurrence.start(state, k, v)
    sequences = {"r": r, "log_w": log_w, "k": k, "v": v, "kappa": kappa, "a": a}
    return _recurrence.by_tokens(_step, sequences, S, v)


@checked_except(*RWKV7.LOOKS_AT)
def chunkwise(
    r: Keys,
    log_w: Keys,
    k: Keys,
    v: Values,
    kappa: Keys,
    a: Keys,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """One triangular solve per chunk, recurrent between chunks, O(N); on a CPU in chunks of at most 32 tokens."""
    S = _recurrence.start(state, k, v)
    kernels = check_backend(backend, v, "rwkv7")
    sequences = {"r": r, "log_w": log_w, "k": k, "v": v, "kappa": kappa, "a": a}
    if kernels is None:
        return by_chunks(listing, RWKV7, sequences, S, v, chunk_size)
    check_values(log_w=log_w, kappa=kappa)
    y, S = kernels.chunkwise(r, log_w, k, v, kappa, a, S, chunk_size)
    return check_result(y, sequences), S


@checked
def step(
    r_t: Float[Tensor, "batch heads d_k"],
    log_w_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    kappa_t: Float[Tensor, "batch heads d_k"],
    a_t: Float[Tensor, "batch heads d_k"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    token = {"r_t": r_t, "log_w_t": log_w_t, "k_t": k_t, "v_t": v_t, "kappa_t": kappa_t, "a_t": a_t}
    return _recurrence.one_token(_step, token, _recurrence.start(state, k_t, v_t))


def _step(
    r_t: Tensor, log_w_t: Tensor, k_t: Tensor, v_t: Tensor, kappa_t: Tensor, a_t: Tensor, S: Tensor
) -> tuple[Tensor, Tensor]:
    r, log_w, k, v, kappa, a = (z.to(S.dtype) for z in (r_t, log_w_t, k_t, v_t, kappa_t, a_t))
    found = torch.einsum("bhk,bhkd->bhd", kappa, S)
    S = (
        torch.exp(log_w)[..., None] * S
        - (a * kappa)[..., :, None] * found[..., None, :]
        + k[..., :, None] * v[..., None, :]
    )
    return torch.einsum("bhk,bhkd->bhd", r, S).to(v_t.dtype), S
