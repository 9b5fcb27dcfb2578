"""What the delta rule and RWKV-7 share: chunks whose tokens remove from the state what they find in it.

Every token first finds something in the state, then removes what it found (besides what else it writes), then reads.
With the rows of all tokens of a chunk that find above the rows of all that read, and S the state before the chunk,

    Z = [Y; R] + H S + M U,    U = -(the upper half of Z),    y = the lower half of Z,    S' = g ∘ S + Wᵀ U + E

U is what the removals write and E what is written besides. No token finds what it or a later one writes, so the upper
half N of M is strictly lower triangular and U solves a unit triangular system, (I + N) U = -(Y + upper half of H S):
the UT transform of the WY form (Yang et al., arXiv 2406.06484, Section 3). Shapes, after any leading axes:

    Y: (L, d_v), R: (L, d_v) or None for 0, H: (2L, d_k), M: (2L, L), W: (L, d_k), E: (d_k, d_v) or None for 0,
    g: (d_k or 1, 1) or None for 1, S: (d_k, d_v)
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

# Tokens in a chunk at most. In longer ones scores and solve, which grow with the chunk, cost more than is saved by
# handing on a state of 64 × 64 numbers less often; and the decays of so few tokens seldom leave the range of floats.
SUB_CHUNK = 32

# Sums of log decays down to which e^{-sum} is computed: far from overflow, and the rounding of the sum about 1e-6.
LOWEST_SUM = -20.0


def products(*factors: tuple[Tensor, ...]) -> Tensor:
    """The product of each tuple, entry by entry, one below the other; the last factor of each: (..., rows, d)."""
    if torch.is_grad_enabled():
        return torch.cat([reduce(torch.mul, of_part) for of_part in factors], -2)
    rows = [of_part[-1].shape[-2] for of_part in factors]
    model = factors[0][-1]
    out = model.new_empty(*model.shape[:-2], sum(rows), model.shape[-1])
    for part, (first, *others) in zip(out.split(rows, -2), factors, strict=True):
        if others:
            torch.mul(first, others.pop(0), out=part)
        else:
            part.copy_(first)
        for other in others:
            part.mul_(other)
    return out


Operands = tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]  # Y, R, H, M, W, E, g


def solve(operands: Operands, S: Tensor) -> tuple[Tensor, Tensor]:
    """One chunk, with one triangular solve; returns (y, S')."""
    Y, R, H, M, W, E, g = operands
    finds, reads = (H @ S).chunk(2, -2)
    N, A = M.chunk(2, -2)
    U = torch.linalg.solve_triangular(N, -(Y + finds), upper=False, unitriangular=True)
    y = reads + A @ U
    after = (S if g is None else g * S) + W.mT @ U
    return y if R is None else y + R, after if E is None else after + E


def carry(operands: Operands, S: Tensor) -> tuple[Tensor, Tensor]:
    """Chunk after chunk: all but S have the leading axes (chunks, b·h); returns (y of all chunks, S after the last).

    Everything that does not need the state is done for all chunks at a time, the triangular inverse among it; a short
    loop over the chunks carries the state. Of the upper half of M only what lies below the diagonal counts.
    """
    return _Carry.apply(*operands, S)


def _keep(S: Tensor, g: Tensor | None, E: Tensor | None, out: Tensor) -> Tensor:
    """g ∘ S + E, written to `out`."""
    if g is None:
        return out.copy_(S) if E is None else torch.add(S, E, out=out)
    return torch.mul(S, g, out=out) if E is None else torch.addcmul(E, g, S, out=out)


def _chunks(x: Tensor | None, n: int) -> tuple[Tensor | None, ...]:
    return (None,) * n if x is None else x.unbind(0)


def _all(x: Tensor) -> Tensor:
    """The matrices of all chunks and heads in one row, as torch.bmm takes them."""
    return x.flatten(0, 1)


class _Carry(torch.autograd.Function):
    """With X = -(I + N)⁻¹, the state enters each chunk in two products: U = X Y + (X H) S, and Wᵀ U."""

    @staticmethod
    def forward(
        ctx: Any,
        Y: Tensor,
        R: Tensor | None,
        H: Tensor,
        M: Tensor,
        W: Tensor,
        E: Tensor | None,
        g: Tensor | None,
        S: Tensor,
    ) -> tuple[Tensor, Tensor]:
        n, _, _, L = M.shape
        X = _negative_inverse(_all(M[:, :, :L]))
        U = torch.bmm(X, _all(Y)).view(*W.shape[:-1], -1)
        XH = torch.bmm(X, _all(H[:, :, :L])).view(W.shape)
        reads, A = H[:, :, L:], M[:, :, L:]
        if R is not None and E is not None and not any(ctx.needs_input_grad):  # the states over E, and y over R
            _hand_on((S, *E[:-1]), E, XH, U, W, E, g)
            R[0].baddbmm_(reads[0], S)
            _all(R[1:]).baddbmm_(_all(reads[1:]), _all(E[:-1]))
            _all(R).baddbmm_(_all(A), _all(U))
            return R, E[-1].clone()
        states = S.new_empty(n + 1, *S.shape)
        states[0] = S
        _hand_on(states[:-1], states[1:], XH, U, W, E, g)
        reads, before = _all(reads), _all(states[:-1])
        y = torch.bmm(reads, before) if R is None else torch.baddbmm(_all(R), reads, before)
        y.baddbmm_(_all(A), _all(U))
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(H, M, W, g, X, XH, U, states)
            ctx.has_R, ctx.has_E = R is not None, E is not None
        return y.view_as(U), states[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dS: Tensor) -> tuple[Tensor | None, ...]:
        """With D the gradient by S': dU = Aᵀ dy + W D for A the lower half of M, then dZ = [Xᵀ dU; dy]."""
        H, M, W, g, X, XH, U, states = ctx.saved_tensors
        n, _, _, L = M.shape
        dU = M[:, :, L:].mT @ dy
        by_reads = H[:, :, L:].mT @ dy
        dstates = torch.empty_like(states)
        dstates[-1] = dS
        for before, after, XH_i, dU_i, W_i, g_i, by_reads_i in reversed(
            list(zip(dstates[:-1], dstates[1:], XH.mT, dU, W, _chunks(g, n), by_reads, strict=True))
        ):
            dU_i.baddbmm_(W_i, after)
            _keep(after, g_i, by_reads_i, out=before).baddbmm_(XH_i, dU_i)
        dZ = torch.cat([torch.bmm(X.mT, _all(dU)).view_as(dU), dy], 2)
        dM = dZ @ U.mT
        dM[:, :, :L].tril_(-1)
        before, D = states[:-1], dstates[1:]
        dg = None if g is None else (before * D).sum_to_size(g.shape)
        dR, dE = dy if ctx.has_R else None, D if ctx.has_E else None
        return dZ[:, :, :L], dR, dZ @ before.mT, dM, U @ D.mT, dE, dg, dstates[0]


def _hand_on(
    before: Sequence[Tensor] | Tensor,
    after: Tensor,
    XH: Tensor,
    U: Tensor,
    W: Tensor,
    E: Tensor | None,
    g: Tensor | None,
) -> None:
    """The states from chunk to chunk, written to `after`, and U of each, to which only (X H) S is still to be added."""
    of_chunks = zip(before, after, XH, U, W.mT, _chunks(g, len(U)), _chunks(E, len(U)), strict=True)
    for S, S_next, XH_i, U_i, W_i, g_i, E_i in of_chunks:
        U_i.baddbmm_(XH_i, S)
        _keep(S, g_i, E_i, out=S_next).baddbmm_(W_i, U_i)


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
