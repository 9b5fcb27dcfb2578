"""What the delta rule and RWKV-7 share: chunks whose tokens remove from the state what they find in it.

Every token first finds something in the state, then removes what it found (besides what else it writes), then reads.
With the rows of all tokens of a chunk that find above the rows of all that read, and S the state before the chunk,

    Z = Y + H S + M U,    U = -(the upper half of Z),    y = the lower half of Z,    S' = g ∘ S + Wᵀ U + E

U is what the removals write and E what is written besides. No token finds what it or a later one writes, so the upper
half N of M is strictly lower triangular and U solves a unit triangular system, (I + N) U = -(upper half of Y + H S):
the UT transform of the WY form (Yang et al., arXiv 2406.06484, Section 3). Shapes, after any leading axes:

    Y: (2L, d_v), H: (2L, d_k), M: (2L, L), W: (L, d_k), E: (d_k, d_v) or None for 0, g: (d_k or 1, 1) or None for 1,
    S: (d_k, d_v)
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad


def solve(
    Y: Tensor, H: Tensor, M: Tensor, W: Tensor, E: Tensor | None, g: Tensor | None, S: Tensor
) -> tuple[Tensor, Tensor]:
    """One chunk, with one triangular solve; returns (y, S')."""
    L = M.shape[-1]
    Z = Y + H @ S
    U = torch.linalg.solve_triangular(M[..., :L, :], -Z[..., :L, :], upper=False, unitriangular=True)
    return Z[..., L:, :] + M[..., L:, :] @ U, _kept(S, g, E) + W.mT @ U


def carry(
    Y: Tensor, H: Tensor, M: Tensor, W: Tensor, E: Tensor | None, g: Tensor | None, S: Tensor
) -> tuple[Tensor, Tensor]:
    """Chunk after chunk: all but S have the leading axes (chunks, b·h); returns (y of all chunks, S after the last).

    Everything that does not need the state is done for all chunks at a time, the triangular inverse among it; a short
    loop over the chunks carries the state. Of the upper half of M only what lies below the diagonal counts.
    """
    return _Carry.apply(Y, H, M, W, E, g, S)


def _kept(S: Tensor, g: Tensor | None, E: Tensor | None) -> Tensor:
    """g ∘ S + E, never S itself."""
    if g is None:
        return S.clone() if E is None else S + E
    return g * S if E is None else torch.addcmul(E, g, S)


def _chunks(x: Tensor | None, n: int) -> tuple[Tensor | None, ...]:
    return (None,) * n if x is None else x.unbind(0)


class _Carry(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, Y: Tensor, H: Tensor, M: Tensor, W: Tensor, E: Tensor | None, g: Tensor | None, S: Tensor
    ) -> tuple[Tensor, Tensor]:
        n, _, _, L = M.shape
        inverse = _negative_inverse(M[:, :, :L].flatten(0, 1)).view(*M.shape[:2], L, L)
        Z, U = torch.empty_like(Y), Y.new_empty(*W.shape[:-1], Y.shape[-1])
        upper, lower, states = Z[:, :, :L], Z[:, :, L:], []
        for Y_i, H_i, Z_i, upper_i, inverse_i, U_i, W_i, g_i, E_i in zip(
            Y, H, Z, upper, inverse, U, W.mT, _chunks(g, n), _chunks(E, n), strict=True
        ):
            states.append(S)
            torch.baddbmm(Y_i, H_i, S, out=Z_i)
            torch.bmm(inverse_i, upper_i, out=U_i)
            S = _kept(S, g_i, E_i).baddbmm_(W_i, U_i)
        y = torch.baddbmm(lower.flatten(0, 1), M[:, :, L:].flatten(0, 1), U.flatten(0, 1))
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(H, M, W, g, inverse, U, torch.stack(states))
            ctx.has_E = E is not None
        return y.view_as(U), S

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dS: Tensor) -> tuple[Tensor | None, ...]:
        """With D the gradient by S': dU = Aᵀ dy + W D for A the lower half of M, then dZ = [-(I + N)⁻ᵀ dU; dy]."""
        H, M, W, g, inverse, U, states = ctx.saved_tensors
        n, _, _, L = M.shape
        dU = M[:, :, L:].mT @ dy
        dupper = torch.empty_like(dU)
        by_reads = H[:, :, L:].mT @ dy
        dstates = torch.empty_like(states)  # D of every chunk
        for i, g_i in reversed(list(enumerate(_chunks(g, n)))):
            dstates[i] = dS
            torch.bmm(inverse[i].mT, dU[i].baddbmm_(W[i], dS), out=dupper[i])
            dS = _kept(dS, g_i, by_reads[i]).baddbmm_(H[i, :, :L].mT, dupper[i])
        dZ = torch.cat([dupper, dy], 2)
        dM = dZ @ U.mT
        dM[:, :, :L].tril_(-1)
        dg = None if g is None else (states * dstates).sum_to_size(g.shape)
        return dZ, dZ @ states.mT, dM, U @ dstates.mT, dstates if ctx.has_E else None, dg, dS


def _negative_inverse(N: Tensor) -> Tensor:
    """-(I + N)⁻¹ for N: (batch, L, L), of which only what lies below the diagonal counts.

    Blocks of 16 on the diagonal by substitution. Then, as often as needed, the inverses of two neighbours make that of
    the block of twice the size, with X₂₁ = X₂₂ N₂₁ X₁₁ below them: substitution by blocks, as stable as by rows.
    """
    L = N.shape[-1]
    m = min(L, 16)
    size = m << (-(-L // m) - 1).bit_length()
    if size > L:
        N = pad(N, (0, size - L, 0, size - L))
    minus_one = -torch.eye(m, dtype=N.dtype, device=N.device)
    inverses = torch.linalg.solve_triangular(_blocks(N, m, 0, 0, m), minus_one, upper=False, unitriangular=True)
    if size == m:
        return inverses.flatten(0, 1)
    X = torch.zeros_like(N)
    _blocks(X, m, 0, 0, m).copy_(inverses)
    while m < size:
        N_21, X_11, X_22 = (
            _blocks(*block, 2 * m).reshape(-1, m, m) for block in ((N, m, m, 0), (X, m, 0, 0), (X, m, m, m))
        )
        X_21 = _blocks(X, m, m, 0, 2 * m)
        X_21.copy_(torch.bmm(torch.bmm(X_22, N_21), X_11).view(X_21.shape))
        m *= 2
    return X[:, :L, :L]


def _blocks(X: Tensor, m: int, row: int, column: int, step: int) -> Tensor:
    """The m × m blocks of X: (batch, L, L) at (row + i·step, column + i·step), i = 0, 1, …: (batch, L / step, m, m)."""
    batch, down, across = X.stride()
    shape = (len(X), X.shape[-1] // step, m, m)
    start = X.storage_offset() + row * down + column * across
    return X.as_strided(shape, (batch, step * (down + across), down, across), start)
