"""What the delta rule and RWKV-7 share: chunks whose tokens remove from the state what they find in it.

Every token first finds something in the state, then removes what it found (besides what else it writes), then reads.
With the rows of all tokens of a chunk that find above the rows of all that read, and S the state before the chunk,

    Z = [Y; 0] + H S + M [U; V],    U = -(the upper half of Z),    y = the lower half of Z,    S' = g ∘ S + Wᵀ [U; V]

U is what the removals write and V what is written besides. No token finds what it or a later one removes, so the part
N of M between finds and removals is strictly lower triangular and U solves a unit triangular system,
(I + N) U = -(Y + upper half of (H S + M [0; V])): the UT transform of the WY form (Yang et al., arXiv 2406.06484,
Section 3). Shapes, after any leading axes:

    Y, V: (L, d_v), H: (2L, d_k), M: (2L, 2L), W: (2L, d_k), g: (d_k or 1, 1), S: (d_k, d_v)

One of Y and V is None, for 0 or nothing; without V, M is (2L, L) and W is (L, d_k).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._blocks import over_blocks, rows_and_chunks

# Tokens in a chunk at most. In longer ones scores and solve, which grow with the chunk, cost more than is saved by
# handing on a state of 64 × 64 numbers less often; and the decays of so few tokens seldom leave the range of floats.
SUB_CHUNK = 32

# Sums of log decays down to which e^{-sum} is computed: far from overflow, and the rounding of the sum about 1e-6.
LOWEST_SUM = -20.0

Operands = tuple[Tensor | None, Tensor | None, Tensor, Tensor, Tensor, Tensor]  # Y, V, H, M, W, g


def solve(operands: Operands, S: Tensor) -> tuple[Tensor, Tensor]:
    """One chunk, with one triangular solve; returns (y, S')."""
    Y, V, H, M, W, g = operands
    L = H.shape[-2] // 2
    Z = H @ S if V is None else H @ S + M[..., L:] @ V
    finds = Z[..., :L, :] if Y is None else Y + Z[..., :L, :]
    U = torch.linalg.solve_triangular(M[..., :L, :L], -finds, upper=False, unitriangular=True)
    y = Z[..., L:, :] + M[..., L:, :L] @ U
    return y, g * S + W.mT @ (U if V is None else torch.cat([U, V], -2))


class InPlace(Protocol):
    """What `operands` and `carry` do without gradients, in memory that all blocks of one shape share.

    Called with chunks of the sequences and the state, it returns y and the state after them, which the next call writes
    over; or None where the decays ask for the slow way that `operands` knows.
    """

    def __init__(self, S: Tensor, shape: torch.Size) -> None:
        """For states like S and so many chunks, heads and tokens in a chunk."""

    def __call__(self, *chunks_and_state: Any) -> tuple[Tensor, Tensor] | None: ...


def over_chunks(
    operands: Callable[..., Operands],
    in_place: type[InPlace],
    chunk_size: int,
    sequences: Sequence[Tensor | None],
    S: Tensor,
    v: Tensor,
) -> tuple[Tensor, Tensor]:
    """The chunkwise form, by what makes the operands of chunks out of chunks of the sequences, (chunks, b·h, L, …)."""
    length = min(chunk_size, SUB_CHUNK, max(v.shape[1], 1))
    of_shape = cache(partial(in_place, S))

    def block(*chunks_and_state: Any) -> tuple[Tensor, Tensor]:
        *chunks, state = chunks_and_state
        before, backward = state.flatten(0, 1), torch.is_grad_enabled()
        result = None if backward else of_shape(chunks[0].shape[:3])(*chunks, before)
        y, after = result or carry(operands(*chunks), before, only_gradients=backward)
        return y, after.view_as(state)

    rows, chunks = rows_and_chunks(len(S), S.shape[1] * length * max(length, *S.shape[2:]))
    y, S = over_blocks(block, rows, chunks * length, sequences, (), S, v, length)
    of_shape.cache_clear()  # a graph that keeps `block` for the backward pass would keep that memory, too
    return y, S


def causal(L: int, like: Tensor) -> Tensor:
    """(2L, L): 1 where a token finds what an earlier one, or reads what an earlier one or itself has written."""
    low = like.new_ones(L, L).tril()
    return torch.cat([low.tril(-1), low])


def carry(operands: Operands, S: Tensor, only_gradients: bool) -> tuple[Tensor, Tensor]:
    """Chunk after chunk: all but S have the leading axes (chunks, b·h); returns (y of all chunks, S after the last).

    Everything that does not need the state is done for all chunks at a time, the triangular inverse among it; a short
    loop over the chunks carries the state. With `only_gradients`, for a backward pass, y holds no numbers.
    """
    return _Carry.apply(only_gradients, *operands, S)


class CarryInPlace:
    """`carry` without gradients, for operands that lie in the same memory at every call.

    All views are made once: making them for every block would take as long as several of its matrix products. And what
    nobody needs any more is written over, as it lies in the cache: U over V, X H over Y, y over what the reads find of
    V, the states over what V adds to them. So the operands are to be written anew before each call.
    """

    def __init__(self, operands: Operands) -> None:
        Y, V, H, M, W, g = operands
        n, heads, rows, d_k = H.shape
        L, given = rows // 2, Y if V is None else V
        assert given is not None
        d_v = given.shape[-1]
        self.y, states = torch.empty_like(given), H.new_empty(n, heads, d_k, d_v)
        Y, U = (given, torch.empty_like(given)) if V is None else (torch.empty_like(given), given)
        of_V = (M[:, :, :L, L:], Y), (M[:, :, L:, L:], self.y), (W[:, :, L:].mT, states)
        self.of_V = [] if V is None else [(_all(A), _all(V), _all(out)) for A, out in of_V]
        XH = Y if d_k == d_v else H.new_empty(n, heads, L, d_k)
        self.inverse = NegativeInverse(_all(M[:, :, :L, :L]))
        self.Y, self.finds, self.U, self.XH = _all(Y), _all(H[:, :, :L]), _all(U), _all(XH)
        self.steps = list(_steps(XH, U, W[:, :, :L], g, states))
        reads = H[:, :, L:]
        self.first = self.y[0], reads[0]
        self.later = _all(self.y[1:]), _all(reads[1:]), _all(states[:-1])
        self.own = _all(self.y), _all(M[:, :, L:, :L]), self.U

    def __call__(self, S: Tensor) -> tuple[Tensor, Tensor]:
        for A, V, out in self.of_V:
            torch.bmm(A, V, out=out)
        X = self.inverse()
        torch.bmm(X, self.Y, out=self.U)
        torch.bmm(X, self.finds, out=self.XH)
        written = bool(self.of_V)
        after = _hand_on(S, self.steps, written)
        y, reads = self.first
        y.baddbmm_(reads, S, beta=int(written))
        y, reads, before = self.later
        y.baddbmm_(reads, before, beta=int(written))
        y, A, U = self.own
        y.baddbmm_(A, U)
        return self.y, after


Step = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # of a chunk X H, U, Wᵀ, g, and where the state after it goes


def _steps(XH: Tensor, U: Tensor, W: Tensor, g: Tensor, after: Tensor) -> Iterable[Step]:
    return zip(XH, U, W.mT, g, after, strict=True)


def _hand_on(S: Tensor, steps: Iterable[Step], written: bool) -> Tensor:
    """The states from chunk to chunk, and U of each, to which only (X H) S is still to be added; returns the last.

    `written` says that what V adds lies already where the states go.
    """
    for XH, U, W, g, after in steps:
        U.baddbmm_(XH, S)
        S = (after.addcmul_(g, S) if written else torch.mul(S, g, out=after)).baddbmm_(W, U)
    return S


def _all(x: Tensor) -> Tensor:
    """The matrices of all chunks and heads in one row, as torch.bmm takes them."""
    return x.flatten(0, 1)


class _Carry(torch.autograd.Function):
    """With X = -(I + N)⁻¹, the state enters each chunk in two products: U = X Y + (X H) S, and Wᵀ U."""

    @staticmethod
    def forward(
        ctx: Any,
        only_gradients: bool,
        Y: Tensor | None,
        V: Tensor | None,
        H: Tensor,
        M: Tensor,
        W: Tensor,
        g: Tensor,
        S: Tensor,
    ) -> tuple[Tensor, Tensor]:
        n, heads, rows, d_k = H.shape
        L = rows // 2
        X = NegativeInverse(_all(M[:, :, :L, :L]))()
        states = S.new_empty(n + 1, *S.shape)
        states[0] = S
        if V is not None:
            Y = M[:, :, :L, L:] @ V
            torch.bmm(_all(W[:, :, L:]).mT, _all(V), out=_all(states[1:]))
        assert Y is not None
        U = torch.bmm(X, _all(Y)).view(Y.shape)
        XH = torch.bmm(X, _all(H[:, :, :L])).view(n, heads, L, d_k)
        _hand_on(states[0], _steps(XH, U, W[:, :, :L], g, states[1:]), written=V is not None)
        UV = U if V is None else torch.cat([U, V], 2)
        y = torch.empty_like(U)
        if not only_gradients:
            torch.bmm(_all(H[:, :, L:]), _all(states[:-1]), out=_all(y)).baddbmm_(_all(M[:, :, L:]), _all(UV))
        ctx.save_for_backward(H, M, W, g, X, XH, UV, states)
        return y, states[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dS: Tensor) -> tuple[Tensor | None, ...]:
        """With D the gradient by S', in the lower half of M: dU = Aᵀ dy + W D, then dZ = [Xᵀ dU; dy]."""
        H, M, W, g, X, XH, UV, states = ctx.saved_tensors
        L, dZ = H.shape[2] // 2, H.new_empty(*H.shape[:3], dy.shape[-1])
        finds, dy = dZ.chunk(2, 2)[0], dZ[:, :, L:].copy_(dy)
        dU = M[:, :, L:, :L].mT @ dy
        dstates = torch.empty_like(states)
        dstates[-1] = dS
        torch.bmm(_all(H[:, :, L:]).mT, _all(dy), out=_all(dstates[:-1]))
        for before, after, XH_i, dU_i, W_i, g_i in reversed(
            list(zip(dstates[:-1], dstates[1:], XH.mT, dU, W[:, :, :L], g, strict=True))
        ):
            dU_i.baddbmm_(W_i, after)
            before.addcmul_(g_i, after).baddbmm_(XH_i, dU_i)
        finds.copy_(torch.bmm(X.mT, _all(dU)).view_as(dU))
        before, D = states[:-1], dstates[1:]
        dV = None
        if W.shape[2] > L:
            dV = torch.bmm(_all(M[:, :, :, L:]).mT, _all(dZ)).baddbmm_(_all(W[:, :, L:]), _all(D)).view_as(dU)
        if g.shape[-2] == 1:  # sums over all of S
            dg = torch.bmm(_all(before.flatten(2))[:, None], _all(D.flatten(2))[:, :, None]).view(g.shape)
        else:
            dg = (before * D).sum(-1, keepdim=True)
        return None, finds if dV is None else None, dV, dZ @ before.mT, dZ @ UV.mT, UV @ D.mT, dg, dstates[0]


class NegativeInverse:
    """-(I + N)⁻¹ for N: (batch, L, L), of which only what lies below the diagonal counts, as N is at each call.

    Blocks of 16 on the diagonal by substitution. Then, as often as needed, the inverses of two neighbours make that of
    the block of twice the size, with X₂₁ = X₂₂ N₂₁ X₁₁ below them: substitution by blocks, as stable as by rows.
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
