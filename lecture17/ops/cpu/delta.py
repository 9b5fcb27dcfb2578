"""What the delta rule and its relatives share: chunks whose tokens remove from the state what they find in it.

Every token first finds something in the state, then removes what it found (and may write something else), then reads.
Let the upper rows be the finds of all tokens of a chunk, the lower rows their reads, and S the state before the chunk:

    Z = [Y; 0] + H S + M [U; V],    U = -(the upper half of Z),    y = the lower half of Z,    S' = g ∘ S + Wᵀ [U; V]

U is what the removals write and V what else is written. No token finds what it or a later one removes, so the part N of
M between finds and removals is strictly lower triangular, and U solves a unit triangular system,
(I + N) U = -(Y + upper half of (H S + M [0; V])): the UT transform of the WY form (Yang et al., arXiv 2406.06484,
Section 3). Shapes, after the axes (chunks, b, h):

    Y: (L, d_v), H: (2L, d_k), M: (2L, 2L), W: (2L, d_k), g: (d_k or 1, 1), V: (L, d_v)

Where nothing else is written, there is no V, M is (2L, L) and W is (L, d_k). Where a token finds and removes n_h times
before it reads, there are n_h L finds, and n_h L rows of U, for L reads.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .blocks import Block, Listing

# The lowest sum of log decays in a chunk for which e^{-sum} is computed: far from overflow, and the rounding of the sum
# is about 1e-6. Where a sum is lower, the listing computes the block.
LOWEST_SUM = -20.0


class Delta(Block):
    """Everything that does not need the state, the triangular inverse included, is done for all chunks of a block at
    once; a short loop over the chunks carries the state. With X = -(I + N)⁻¹ the state enters each chunk in two
    products: U = X Y + (X H) S, and Wᵀ U.

    What is no longer needed is overwritten while it is in the cache: Y by X H, what V adds by the states.
    """

    # In longer chunks the scores and the solve cost more than is saved by passing on a state of 64 × 64 numbers less
    # often. And the decays of so few tokens seldom leave the range of floats.
    LONGEST_CHUNK = 32

    def __init__(self, listing: Listing, S: Tensor, H: Tensor, W: Tensor, g: Tensor, d_v: int, n_h: int = 1) -> None:
        """H, W and g are memory of the subclass, which writes the operands before each call."""
        self.listing = listing
        *batch, rows, d_k = H.shape
        L, written = rows * n_h // (n_h + 1), W.shape[-2]  # finds, and rows of U and V
        self.has_V = written > L
        self.H, self.W, self.g, self.M = H, W, g, H.new_empty(*batch, rows, written)
        low = H.new_ones(L, L).tril()  # what an earlier token has written is found, and read with what itself has
        self.mask = torch.cat([low.tril(-1), low[n_h - 1 :: n_h]]).repeat(1, written // L)
        self.Y, U, self.V = H.new_empty(3, *batch, L, d_v)
        self.y = H.new_empty(*batch, rows - L, d_v)
        XH = self.Y if d_k == d_v else H.new_empty(*batch, L, d_k)
        self.states = H.new_empty(batch[0] + 1, *batch[1:], d_k, d_v)
        self.inverse = NegativeInverse(_all(self.M[..., :L, :L]))
        self.h, self.w, self.m, self.u, self.v = (_all(x) for x in (H, W, self.M, U, self.V))
        self.finds, self.reads, self.XH, self.of_Y = self.h[:, :L], self.h[:, L:], _all(XH), _all(self.Y)
        self.of_y, self.before, self.after = _all(self.y), _all(self.states[:-1]), _all(self.states[1:])
        flat = (x.flatten(1, 2) for x in (XH, U, W[..., :L, :].mT, g, self.states[:-1], self.states[1:]))
        self.steps = list(zip(*flat, strict=True))

    def score(self) -> None:
        """M from H and W, while W still holds the keys divided by their decays from the start."""
        torch.bmm(self.h, self.w.mT, out=self.m)
        self.M.mul_(self.mask)

    def carry(self, S: Tensor) -> Tensor:
        """U and the states between chunks; returns the state after the last."""
        L = self.Y.shape[-2]
        self.states[0].copy_(S)
        if self.has_V:
            torch.bmm(self.m[:, :L, L:], self.v, out=self.of_Y)
            torch.bmm(self.w[:, L:].mT, self.v, out=self.after)
        self.X = self.inverse()
        torch.bmm(self.X, self.of_Y, out=self.u)
        torch.bmm(self.X, self.finds, out=self.XH)
        for XH, U, W, g, before, after in self.steps:
            U.baddbmm_(XH, before)
            (after.addcmul_(g, before) if self.has_V else torch.mul(before, g, out=after)).baddbmm_(W, U)
        return self.states[-1]

    def forward(self, S: Tensor, y: Tensor, *pieces: Any) -> tuple[Tensor, float]:
        if not self.write(*pieces):
            return super().forward(S, y, *pieces)
        S = self.carry(S)
        L = self.Y.shape[-2]
        torch.bmm(self.reads, self.before, out=self.of_y).baddbmm_(self.m[:, L:, :L], self.u)
        if self.has_V:
            self.of_y.baddbmm_(self.m[:, L:, L:], self.v)
        y.copy_(self.y)
        return S, self.of_y.sum().item()

    def backward(self, S: Tensor, dS: Tensor, grads: Sequence[Any], dy: Tensor, *pieces: Any) -> Tensor:
        """With D the gradient of S' and A the reads of U in M: dU = Aᵀ dy + W D, then dZ = [Xᵀ dU; dy]."""
        if not self.write(*pieces):
            return super().backward(S, dS, grads, dy, *pieces)
        self.carry(S)
        L, Z = self.Y.shape[-2], dy.new_empty(*self.H.shape[:-1], dy.shape[-1])
        dZ, dY = _all(Z), Z[..., :L, :]
        Z[..., L:, :] = dy
        dU = torch.bmm(self.m[:, L:, :L].mT, dZ[:, L:])
        dstates = torch.empty_like(self.states)
        dstates[-1] = dS
        torch.bmm(self.reads.mT, dZ[:, L:], out=_all(dstates[:-1]))
        of_chunk = dU.view(len(Z), -1, *dU.shape[1:]), dstates[:-1].flatten(1, 2), dstates[1:].flatten(1, 2)
        for (XH, _, W, g, _, _), dU_i, before, after in reversed(list(zip(self.steps, *of_chunk, strict=True))):
            dU_i.baddbmm_(W.mT, after)
            before.addcmul_(g, after).baddbmm_(XH.mT, dU_i)
        dZ[:, :L] = torch.bmm(self.X.mT, dU)
        D, dV = _all(dstates[1:]), None
        if self.has_V:
            dV = torch.bmm(self.m[:, :, L:].mT, dZ).baddbmm_(self.w[:, L:], D).view_as(dY)
        if self.g.shape[-2] == 1:  # sums over all of S
            dg = torch.bmm(self.before.flatten(1)[:, None], D.flatten(1)[:, :, None]).view(self.g.shape)
        else:
            dg = (self.states[:-1] * dstates[1:]).sum(-1, keepdim=True)
        dH = torch.bmm(dZ, self.before.mT).view_as(self.H)
        UV = torch.cat([self.u, self.v], 1) if self.has_V else self.u
        dM = torch.bmm(dZ, UV.mT).view_as(self.M)
        dW = torch.bmm(UV, D.mT).view_as(self.W)
        self.write_gradients(grads, pieces, dY, dV, dH, dM, dW, dg)
        return dstates[0]

    def write(self, *pieces: Any) -> bool:
        """Write H, W, M, g, and Y or V; False where decays are too strong to be divided out."""
        raise NotImplementedError

    def write_gradients(self, grads: Sequence[Any], pieces: Sequence[Any], *of_operands: Any) -> None:
        """From the gradients of Y, V, H, M, W and g to those of the pieces."""
        raise NotImplementedError


def _all(x: Tensor) -> Tensor:
    """The matrices of all chunks and heads along one axis, as torch.bmm takes them."""
    return x.flatten(0, -3)


class NegativeInverse:
    """-(I + N)⁻¹ for N: (batch, L, L) as it is at each call; only its entries below the diagonal count.

    Diagonal blocks of 16 are inverted by substitution. Then the inverses of two neighbors make that of the block of
    twice the size, with X₂₁ = X₂₂ N₂₁ X₁₁ below them, and so on: substitution by blocks, as stable as by rows.
    """

    def __init__(self, N: Tensor) -> None:
        batch, L, _ = N.shape
        m = min(L, 16)
        size = m << (-(-L // m) - 1).bit_length()
        self.padded = None if size == L else (N.new_zeros(batch, size, size), N)
        N = N if self.padded is None else self.padded[0]
        X = N.new_zeros(batch, size, size)
        self.X = X[:, :L, :L]
        self.diagonal = _diagonal(N, m), _diagonal(X, m)
        self.minus_one = -torch.eye(m, dtype=N.dtype, device=N.device)
        self.pairs = []
        while m < size:
            for i in range(0, size, 2 * m):
                first, second = slice(i, i + m), slice(i + m, i + 2 * m)
                self.pairs.append((N[:, second, first], X[:, first, first], X[:, second, second], X[:, second, first]))
            m *= 2

    def __call__(self) -> Tensor:
        if self.padded is not None:
            room, N = self.padded
            room[:, : N.shape[1], : N.shape[1]] = N
        N, X = self.diagonal
        X.copy_(torch.linalg.solve_triangular(N, self.minus_one, upper=False, unitriangular=True))
        for N_21, X_11, X_22, X_21 in self.pairs:
            X_21.copy_(torch.bmm(torch.bmm(X_22, N_21), X_11))
        return self.X


def _diagonal(X: Tensor, m: int) -> Tensor:
    """The m × m blocks on the diagonal of X: (batch, L, L), a view: (batch, L / m, m, m)."""
    return X.unflatten(2, (-1, m)).unflatten(1, (-1, m)).diagonal(dim1=1, dim2=3).movedim(-1, 1)
