"""The chunkwise form of every mixer: sequences cut into chunks, and decays between tokens.

Each mixer has a `listing`, its algorithm in readable form, which takes all chunks at once. Nothing in it is divided by
a decay, so it is exact for any decays, and autograd differentiates it. On a CPU a class in `ops/cpu/` computes the
same, a block of chunks at a time.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from .cpu.blocks import Block, Listing, OverBlocks, in_chunks
from .validation import check_result, state_dtype
from .value_validation import check_values


def by_chunks(
    listing: Listing,
    quick: type[Block] | None,
    sequences: Mapping[str, Tensor | None],
    state: Tensor,
    like: Tensor,
    chunk_size: int,
    constants: tuple[Tensor, ...] = (),
    told: Mapping[str, Tensor | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The chunkwise form by the class `quick` on a CPU, and by the listing on every other device or if `quick` is None.

    torch.compile and torch.export see the listing, too: they cannot look into reused memory. Returns y, of the shape
    and type of `like`, and the state after the last token. A number that is not finite raises ValueError naming its
    sequence, or one of `told` if the sequences are not the caller's; only names that begin with log_ may hold -inf.
    """
    tensors = *sequences.values(), *constants
    unseen = {} if quick is None else dict(zip(quick.LOOKS_AT, map(sequences.get, quick.LOOKS_AT), strict=True))
    if like.numel() == 0:
        # Empty sums, so that autograd links the state to the sequences: `distributed` waits for its gradient.
        return like.clone(), state + sum(x.sum() for x in sequences.values() if x is not None)
    if quick is None or like.device.type != "cpu" or torch.compiler.is_compiling():
        check_values(**unseen)
        y, state = listing(*tensors, state, chunk_size)
        y, finite = y.to(like.dtype), None
    else:
        length = min(chunk_size, like.shape[1], quick.LONGEST_CHUNK)
        options = quick, listing, length, torch.is_grad_enabled(), tuple(sequences)
        y, state, finite = OverBlocks.apply(*options, like, state, *tensors)
        if not finite:
            check_values(**unseen)
    return check_result(y, sequences if told is None else told, finite), state


def to_chunks(x: Tensor, length: int) -> Tensor:
    """(b, T, h, …) -> (chunks, b, h, length, …), the last chunk padded with zeros; 16-bit numbers as float32.

    Zeros change nothing: a log decay of 0 keeps the state, and a key of 0 writes nothing to it.
    """
    x = x.to(state_dtype(x.dtype))
    return in_chunks(pad(x, (*(0, 0) * (x.dim() - 2), 0, -x.shape[1] % length)), length)


def segsum(log_a: Tensor) -> Tensor:
    """Log decays between tokens: [..., t, j] = log_a_{j+1} + … + log_a_t for t ≥ j, -inf above; log_a: (..., L).

    Each entry is a sum of terms of one sign, never a difference of two cumulative sums: -inf stays -inf and
    nothing cancels.
    """
    L = log_a.shape[-1]
    low = torch.ones(L, L, dtype=torch.bool, device=log_a.device).tril()
    sums = torch.where(low.tril(-1), log_a[..., :, None], 0).cumsum(-2)
    return torch.where(low, sums, -torch.inf)


def decayed_scores(Q: Tensor, K: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What each query finds of the keys before it, when every key dimension has its own decay.

        M[s, t, r, j] = Σ_c Q[s, t, c] w[j+1, c] … w[t-1, c] K[r, j, c]    for j < t, else 0

    Q: (..., s, L, d) and K: (..., r, L, d), with s queries and r keys per token; w: (..., L, d), decays in [0, 1].
    Returns M: (..., s, L, r, L); the queries, decayed from the start to just before their token; the keys, decayed from
    just after their token to the end; and the decay of the whole, (..., d).

    By doubling: of two neighboring blocks, the queries of the second, decayed from its start, meet the keys of the
    first, decayed to its end. So every factor is a product of decays, in [0, 1]. It may be 0 or underflow, where a
    quotient of cumulative decays would be 0/0.
    """
    L = Q.shape[-2]
    missing = (1 << (L - 1).bit_length()) - L
    if missing:
        Q, K, w = pad(Q, (0, 0, 0, missing)), pad(K, (0, 0, 0, missing)), pad(w, (0, 0, 0, missing), value=1)
    Q, K = (x.movedim(-2, -3)[..., None, :] for x in (Q, K))  # (..., blocks, s, tokens in the block, d)
    M = Q.new_zeros(*Q.shape[:-1], K.shape[-3], 1)  # (..., blocks, s, tokens, r, tokens)
    while w.shape[-2] > 1:
        w1, w2 = w[..., 0::2, :], w[..., 1::2, :]
        Q1, Q2 = Q[..., 0::2, :, :, :], Q[..., 1::2, :, :, :]
        K1, K2 = K[..., 0::2, :, :, :], K[..., 1::2, :, :, :]
        M1, M2 = M[..., 0::2, :, :, :, :], M[..., 1::2, :, :, :, :]
        across = (Q2.flatten(-3, -2) @ K1.flatten(-3, -2).mT).view(M1.shape)
        M = torch.cat([pad(M1, (0, M1.shape[-1])), torch.cat([across, M2], -1)], -3)
        Q = torch.cat([Q1, Q2 * w1[..., None, None, :]], -2)
        K = torch.cat([K1 * w2[..., None, None, :], K2], -2)
        w = w1 * w2
    M, Q, K = M.squeeze(-5), Q.squeeze(-4), K.squeeze(-4)
    return M[..., :L, :, :L], Q[..., :L, :], K[..., :L, :], w.squeeze(-2)
