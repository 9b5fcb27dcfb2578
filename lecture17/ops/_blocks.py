"""The chunkwise form of any mixer, a block of chunks at a time: the working set stays in cache and memory linear.

Whole sequences in one go would make every intermediate as long as the sequence, and autograd would keep them all for
the backward pass. Here the forward pass keeps the state in front of each block and nothing else; the backward pass
goes through the blocks from the last to the first, computes each again and differentiates it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from ._memory import BLOCK_NUMEL, empty_result
from ._validation import state_dtype

Block = Callable[..., tuple[Tensor, Tensor]]  # block(*pieces, *constants, state) -> (y, state after it)


def rows_and_chunks(batch: int, chunk_numel: int) -> tuple[int, int]:
    """Sequences and chunks of each in a block, when one intermediate of one chunk holds `chunk_numel` numbers."""
    room = max(1, BLOCK_NUMEL // max(1, chunk_numel))
    rows = max(1, min(batch, room))
    return rows, max(1, room // rows)


def over_blocks(
    block: Block,
    rows: int,
    tokens: int,
    sequences: Sequence[Tensor | None],
    constants: Sequence[Tensor],
    state: Tensor,
    like: Tensor,
    length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Call `block` on so many rows and tokens of the sequences at a time; y has the shape and type of `like`.

    Sequences have batch and time as their first axes, the state has batch; a sequence that is None stays None. With a
    `length` the pieces of sequences and of y are chunks of so many tokens: (chunks, b·h, length, …), see `_to_chunks`.
    """
    if like.numel() == 0:
        return like.clone(), state
    tensors = [t for t in (state, *sequences, *constants) if t is not None]
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return _OverBlocks.apply(block, (rows, tokens), length, keep, like, len(sequences), state, *sequences, *constants)


def _cuts(shape: torch.Size, steps: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """The rows and tokens of every block, those of a sequence in the order of time."""
    for row in range(0, shape[0], steps[0]):
        for token in range(0, shape[1], steps[1]):
            yield slice(row, row + steps[0]), slice(token, token + steps[1])


class _OverBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        block: Block,
        steps: tuple[int, int],
        length: int | None,
        keep: bool,
        like: Tensor,
        n_sequences: int,
        state: Tensor,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        sequences, constants = tensors[:n_sequences], tensors[n_sequences:]
        y, state = empty_result(like), state.clone()
        # One tensor for all states: many small ones would lie between the intermediates and keep their memory apart.
        states = state.new_empty(-(-y.shape[1] // steps[1]) if keep else 0, *state.shape)
        for rows, tokens in _cuts(y.shape, steps):
            if keep:
                states[tokens.start // steps[1], rows] = state[rows]
            pieces = (None if s is None else _to_chunks(s[rows, tokens], length) for s in sequences)
            y_of_block, state[rows] = block(*pieces, *constants, state[rows])
            _write(y_of_block, length, out=y[rows, tokens])
        if keep:
            ctx.save_for_backward(states, *tensors)
            ctx.block, ctx.steps, ctx.length, ctx.n_sequences = block, steps, length, n_sequences
        return y, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        states, *tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[-len(tensors) :]
        grads = [
            None if not needs else empty_result(t) if i < ctx.n_sequences else torch.zeros_like(t)
            for i, (t, needs) in enumerate(zip(tensors, needed, strict=True))
        ]
        dstate = dstate.clone()
        for rows, tokens in reversed(list(_cuts(dy.shape, ctx.steps))):
            pieces = [
                _to_chunks(t[rows, tokens], ctx.length) if i < ctx.n_sequences and t is not None else t
                for i, t in enumerate(tensors)
            ]
            inputs = [
                None if t is None else t.detach().requires_grad_(needs) for t, needs in zip(pieces, needed, strict=True)
            ]
            before = states[tokens.start // ctx.steps[1], rows].detach().requires_grad_()
            with torch.enable_grad():
                y, after = ctx.block(*inputs, before)
            wanted = [before, *(t for t in inputs if t is not None and t.requires_grad)]
            dy_of_block = _to_chunks(dy[rows, tokens], ctx.length).to(y.dtype)
            found = torch.autograd.grad((y, after), wanted, (dy_of_block, dstate[rows]))
            dstate[rows] = found[0]
            parts = iter(found[1:])
            for i, grad in enumerate(grads):
                if grad is not None and i < ctx.n_sequences:
                    _write(next(parts), ctx.length, out=grad[rows, tokens])
                elif grad is not None:
                    grad += next(parts)
        return None, None, None, None, None, None, dstate, *grads


def _to_chunks(x: Tensor, length: int | None) -> Tensor:
    """(b, T, h, ...) -> (chunks, b·h, length, ...), the last chunk filled with zeros; 16-bit numbers as float32.

    Not a copy where a view will do: a product of it, behind a factor that is not one, lies in the order of its axes.
    """
    if length is None:
        return x
    x = x.to(state_dtype(x.dtype))
    if x.shape[1] % length:
        x = pad(x, (*(0, 0) * (x.dim() - 2), 0, -x.shape[1] % length))
    x = x.view(len(x), x.shape[1] // length, length, *x.shape[2:])
    return x.permute(1, 0, 3, 2, *range(4, x.dim())).flatten(1, 2)


def _write(y: Tensor, length: int | None, out: Tensor) -> None:
    """Write a piece to its place, (b, T, h, ...): `_to_chunks` the other way."""
    if length is None:
        out.copy_(y)
        return
    batch, tokens = out.shape[:2]
    y = y.unflatten(1, (batch, -1))
    y = y.permute(1, 0, 3, 2, *range(4, y.dim()))  # (b, chunks, length, h, ...)
    if tokens % length:
        out.copy_(y.flatten(1, 2)[:, :tokens])
    else:
        out.view(y.shape).copy_(y)
