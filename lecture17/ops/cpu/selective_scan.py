"""One decay per channel and state entry: the selective scan, all states of a block at once, without matrix products."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from .blocks import Block, from_chunks


class SelectiveScan(Block):
    """The chunks of a block are one sequence here; the gradient goes through its states by a scan backwards in time."""

    def forward(self, S: Tensor, y: Tensor, *pieces: Any) -> tuple[Tensor, float]:
        _, _, _, C, _, decay, states = self.start(S, *pieces)
        states = _scan(decay, states)
        from_chunks(y).copy_((C[:, :, None, :] @ states).squeeze(2))
        return states[:, -1], (y.sum() + states[:, -1].sum()).item()

    def start(self, S: Tensor, *pieces: Any) -> tuple[Tensor, ...]:
        """x, delta, B, C: (b, T, …), A, and the decays and what is written to the states, (b, T, d_state, d)."""
        x, delta, B, C = (from_chunks(z).to(S.dtype) for z in pieces[:4])
        A = pieces[4].to(S.dtype)
        decay = torch.exp(delta[:, :, None, :] * A.mT)
        states = B[..., None] * (delta * x)[:, :, None, :]
        states[:, 0].addcmul_(decay[:, 0], S)
        return x, delta, B, C, A, decay, states

    def backward(self, S: Tensor, dS: Tensor, grads: Sequence[Any], dy: Tensor, *pieces: Any) -> Tensor:
        x, delta, B, C, A, decay, states = self.start(S, *pieces)
        states = _scan(decay.clone(), states)
        dy = from_chunks(dy)
        dstates = C[..., None] * dy[:, :, None, :]
        dstates[:, -1] += dS
        decayed = decay * dstates
        before = _scan(decay, decayed, backwards=True)  # of the state before each token; decay is not needed again
        dstates[:, :-1] += before[:, 1:]
        dS = before[:, 0].clone()
        dexponent = before  # of the log decay, once multiplied by that state
        dexponent[:, 1:] *= states[:, :-1]
        dexponent[:, 0] *= S
        dwritten = (B[:, :, None, :] @ dstates).squeeze(2)
        *places, of_A = grads
        of_x, of_delta, of_B, of_C = (from_chunks(place) for place in places)
        torch.mul(dwritten, delta, out=of_x)
        # Rows of ones times matrices are sums, many times faster here than .sum(2) and .sum((0, 1)).
        by_exponent = A.new_ones(1, A.shape[1]) @ torch.mul(dexponent, A.mT, out=decay)
        of_delta.copy_(by_exponent.squeeze(2).addcmul_(dwritten, x))
        of_B.copy_(((delta * x)[:, :, None, :] @ dstates.mT).squeeze(2))
        of_C.copy_((dy[:, :, None, :] @ states.mT).squeeze(2))
        by_A = A.new_ones(1, delta[..., 0].numel()) @ dexponent.mul_(delta[:, :, None, :]).flatten(2).flatten(0, 1)
        of_A += by_A.view_as(A.mT).mT
        return dS


def _scan(a: Tensor, b: Tensor, backwards: bool = False) -> Tensor:
    """h_t = a_t h_{t-1} + b_t from zero, along axis 1; backwards h_t = a_t h_{t+1} + b_t. Overwrites a and b.

    There are about √T pieces of √T tokens: first all pieces are scanned side by side, token by token; then each piece
    in turn gets what the pieces before it left. That is three passes over the numbers in 3√T steps.
    """
    T = a.shape[1]
    length = math.isqrt(max(T - 1, 0)) + 1
    if T % length:
        missing = (*(0, 0) * (a.dim() - 2), 0, -T % length)
        a, b = pad(a, missing), pad(b, missing)
    a, b = a.unflatten(1, (-1, length)), b.unflatten(1, (-1, length))
    pieces = b.shape[1]
    last, step = (0, 1) if backwards else (length - 1, -1)
    for t in range(length - 2, -1, -1) if backwards else range(1, length):
        b[:, :, t].addcmul_(a[:, :, t], b[:, :, t + step])
        a[:, :, t].mul_(a[:, :, t + step])
    for i in range(pieces - 2, -1, -1) if backwards else range(1, pieces):
        b[:, i].addcmul_(a[:, i], b[:, i + step, last, None])
    return b.flatten(1, 2)[:, :T]
