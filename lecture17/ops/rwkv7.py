"""RWKV-7's generalised delta rule: vector decay, and removal along one direction. Introduced in 01_tour and 03c_family.

    S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ,    y_t = r_t S_t    (S: d_k × d_v, keys × values)

`lecture17.reference.rwkv7` batched, differentiable and fast; the removal reads the state before this token's decay.
Source: Peng et al., arXiv 2503.14456, Sections 3 and 4. Arguments, all functions alike, in the order r, log_w, k, v,
kappa, a:

    r, k: (batch, time, heads, d_k)     receptance (the query) and key
    log_w: (batch, time, heads, d_k)    log of the decay, at most 0; -inf forgets everything under that key
    v: (batch, time, heads, d_v)        values; y has the same shape and type
    kappa: (batch, time, heads, d_k)    removal direction κ̂ of each token, of length 1 (or 0: remove nothing)
    a: (batch, time, heads, d_k)        in-context learning rate, how much is removed per key
    state: (batch, heads, d_k, d_v)     before the first token, zero if not given; that after the last is returned

16-bit inputs are summed in float32, the type of their state (log_w may come in float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
log_w, a kappa of another length, a number that is not finite, types or devices that differ, chunk_size < 1, or a
backend that cannot run raises ValueError naming the argument.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ._blocks import from_chunks, over_blocks, rows_and_chunks, to_chunks
from ._decays import decayed_scores
from ._delta_chunks import LOWEST_SUM, SUB_CHUNK, Operands, carry, products, solve
from ._validation import (
    check_alike,
    check_backend,
    check_chunk_size,
    check_finite,
    check_log_decay,
    check_result,
    shapes_checked,
    state_dtype,
)

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
State = Float[Tensor, "batch heads d_k d_v"]


def _start(r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor, state: Tensor | None) -> Tensor:
    """Check all but that r, k, v, kappa and a are finite; returns the state before the first token."""
    check_alike(r=r, k=k, v=v, kappa=kappa, a=a, decays={"log_w": log_w}, state=state)
    check_log_decay(log_w=log_w)
    check_finite(state=state)
    _check_unit(kappa)
    if state is not None:
        return state
    return v.new_zeros(v.shape[0], v.shape[-2], k.shape[-1], v.shape[-1], dtype=state_dtype(v.dtype))


def _check_unit(kappa: Tensor) -> None:
    length = torch.linalg.vector_norm(kappa.detach(), dim=-1, dtype=state_dtype(kappa.dtype))
    wrong = (length != 0) & ((length - 1).abs() > (1e-4 if kappa.dtype.itemsize > 2 else 1e-2))
    if wrong.any():
        check_finite(kappa=kappa)
        raise ValueError(
            f"kappa{wrong.nonzero()[0].tolist()} has length {length[wrong][0].item():.6g}: "
            "expected length 1 (or 0); divide each key by its norm"
        )


def _masks(L: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(L, L) with 1 from each token to itself and later ones; (2L, 2L), that for [κ̂; r] against [a ∘ κ̂; k]."""
    low = like.new_ones(L, L).tril()
    return low, torch.cat([low.tril(-1), low]).repeat(1, 2)


def _operands(
    masks: tuple[Tensor, Tensor], r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor
) -> Operands:
    """Y, R, H, M, W, E, g of `_delta_chunks` for chunks (..., L, d_k): a token finds S_{t-1}ᵀ κ̂_t.

    M holds the scores of [κ̂; r] against [a ∘ κ̂; k] under the decays in between. Where the sums of log decays are small
    that is one product of [κ̂; r] decayed from the start and [a ∘ κ̂; k] grown by as much, otherwise `decayed_scores`.
    """
    L, (low, mask) = r.shape[-2], masks
    sums = low @ log_w  # NaN where log_w is -inf
    if sums[..., -1, :].amin() >= LOWEST_SUM:
        decay = torch.exp(sums)
        growth = decay.reciprocal()
        first, later = kappa.split((1, L - 1), -2)
        H = products((first,), (decay[..., :-1, :], later), (decay, r))
        W = products((growth, a, kappa), (growth, k))
        M = (H @ W.mT).mul_(mask)
        g = decay[..., -1, :]
        W = W * g[..., None, :] if torch.is_grad_enabled() else W.mul_(g[..., None, :])
    else:
        w = torch.exp(log_w)
        keys = torch.stack([a * kappa, k], -3)
        M, H, W, g = decayed_scores(torch.stack([kappa, r * w], -3), keys, w)
        own = torch.diag_embed((r[..., None, :, :] * keys).sum(-1)).transpose(-3, -2)  # r_t meets its own keys
        M = M + torch.stack([torch.zeros_like(own), own], -4)
        M, H, W = M.flatten(-4, -3).flatten(-2), H.flatten(-3, -2), W.flatten(-3, -2)
    Y, R = M[..., :L, L:] @ v, M[..., L:, L:] @ v
    return Y, R, H, M[..., :L], W[..., :L, :], W[..., L:, :].mT @ v, g[..., None]


@shapes_checked
def parallel(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²) and one triangular solve: find what is removed, then read both writes."""
    S = _start(r, log_w, k, v, kappa, a, state)
    if v.shape[1] == 0:
        return v.clone(), S
    operands = (s.transpose(1, 2).to(S.dtype) for s in (r, log_w, k, v, kappa, a))
    y, S = solve(_operands(_masks(v.shape[1], S), *operands), S)
    y = y.transpose(1, 2).to(v.dtype)
    check_result(y, r=r, k=k, v=v, kappa=kappa, a=a)
    return y, S


@shapes_checked
def recurrent(
    r: Keys, log_w: Keys, k: Keys, v: Values, kappa: Keys, a: Keys, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N): S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + k_t v_tᵀ, y_t = r_t S_t."""
    S = _start(r, log_w, k, v, kappa, a, state)
    y = []
    for t in range(v.shape[1]):
        y_t, S = _step(r[:, t], log_w[:, t], k[:, t], v[:, t], kappa[:, t], a[:, t], S)
        y.append(y_t)
    result = torch.stack(y, 1) if y else v.clone()
    check_result(result, r=r, k=k, v=v, kappa=kappa, a=a)
    return result, S


@shapes_checked
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
    """One triangular solve per chunk, recurrent between chunks, O(N); chunks above SUB_CHUNK tokens are cut further."""
    S = _start(r, log_w, k, v, kappa, a, state)
    check_chunk_size(chunk_size)
    kernels = check_backend(backend, v, "rwkv7")
    if kernels:
        return kernels.chunkwise(r, log_w, k, v, kappa, a, S, chunk_size)
    length = min(chunk_size, SUB_CHUNK, max(v.shape[1], 1))
    masks = _masks(length, S)

    def block(
        r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor, S: Tensor
    ) -> tuple[Tensor, Tensor]:
        tokens = v.shape[1]
        r, log_w, k, v, kappa, a = (to_chunks(s, length) for s in (r, log_w, k, v, kappa, a))
        operands = _operands(masks, r, log_w.contiguous(), k, v.contiguous(), kappa, a)
        y, S_after = carry(operands, S.flatten(0, 1))
        return from_chunks(y, len(S), tokens), S_after.view_as(S)

    rows, chunks = rows_and_chunks(len(S), S.shape[1] * length * max(length, *S.shape[2:]))
    y, S = over_blocks(block, rows, chunks * length, (r, log_w, k, v, kappa, a), (), S, v)
    check_result(y, r=r, k=k, v=v, kappa=kappa, a=a)
    return y, S


@shapes_checked
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
    y_t, S = _step(r_t, log_w_t, k_t, v_t, kappa_t, a_t, _start(r_t, log_w_t, k_t, v_t, kappa_t, a_t, state))
    check_result(y_t, r_t=r_t, k_t=k_t, v_t=v_t, kappa_t=kappa_t, a_t=a_t)
    return y_t, S


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
