"""Decays between tokens, sums of their logs, and scores under them: nothing is ever divided by a decay."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def segsum(log_a: Tensor) -> Tensor:
    """Log decays between tokens: [..., t, j] = log_a_{j+1} + … + log_a_t for t ≥ j, -inf above; log_a: (..., L).

    Each entry is a sum of terms of one sign, never a difference of two cumulative sums: -inf stays -inf and
    nothing cancels.
    """
    L = log_a.shape[-1]
    low = torch.ones(L, L, dtype=torch.bool, device=log_a.device).tril()
    sums = torch.where(low.tril(-1), log_a[..., :, None], 0).cumsum(-2)
    return torch.where(low, sums, -torch.inf)


def doublings(x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Views of x: (..., L, d), in order: multiply each first one by its second, and x[..., t, :] is x_1 … x_t.

    Of two neighbouring blocks of 1, 2, 4, … tokens, all of the second, and the last token of the first.
    """
    L, size, views = x.shape[-2], 1, []
    while size < L:
        whole = L - L % (2 * size)
        pairs = x[..., :whole, :].unflatten(-2, (-1, 2, size))
        views.append((pairs[..., 1, :, :], pairs[..., 0, -1:, :]))
        if whole + size < L:
            views.append((x[..., whole + size :, :], x[..., whole + size - 1, None, :]))
        size *= 2
    return views


def decayed_scores(Q: Tensor, K: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What each query finds of the keys before it, when every key dimension has its own decay.

        M[s, t, r, j] = Σ_c Q[s, t, c] w[j+1, c] … w[t-1, c] K[r, j, c]    for j < t, else 0

    Q: (..., s, L, d) and K: (..., r, L, d), any number s of queries and r of keys a token; w: (..., L, d), decays in
    [0, 1]. Returns M: (..., s, L, r, L); the queries, decayed from the start up to before their token; the keys,
    decayed from after their token to the end; and the decay of the whole, (..., d).

    By doubling: of two neighbouring blocks, the queries of the second, decayed from its start, meet the keys of the
    first, decayed to its end. So every factor is a product of decays and lies in [0, 1], be it 0 or far below the
    smallest float, where the decay of one token over that of another would be 0/0.
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
