"""A block of chunks at a time through a whole mixer; the backward pass recomputes each block."""

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from ..type_validation import without_autocast
from ..value_validation import right_values
from .memory import empty_result, keep_what_is_freed

# Numbers in one intermediate of a block: a mebibyte of float32, so that a few of them fit in the cache.
BLOCK_NUMEL = 2**18

Listing = Callable[..., tuple[Tensor, Tensor]]  # listing(*sequences, *constants, state, chunk_size) -> (y, state)


def in_chunks(x: Tensor, length: int) -> Tensor:
    """(b, T, h, …) -> (chunks, b, h, length, …), a view, for T a multiple of the length."""
    x = x.view(len(x), x.shape[1] // length, length, *x.shape[2:])
    return x.permute(1, 0, 3, 2, *range(4, x.dim()))


def from_chunks(y: Tensor) -> Tensor:
    """(chunks, b, h, length, …) -> (b, T, h, …): `in_chunks` the other way."""
    return y.transpose(2, 3).transpose(0, 1).flatten(1, 2)


class Block:
    """How a mixer computes blocks of one shape. In one pass, all of them use its memory and the views of it.

    S: (b, h, d_k, d_v); y, dy and the pieces of sequences: (chunks, b, h, length, …). After the pieces come the
    constants, uncut.
    """

    LONGEST_CHUNK = sys.maxsize
    LOOKS_AT: tuple[str, ...] = ()  # long sequences whose values are checked while a block of them is in the cache

    def __init__(self, listing: Listing, S: Tensor, *pieces: Any) -> None:
        self.listing = listing

    @staticmethod
    def split(n: int, *sequences: Tensor | None) -> Iterable[tuple[Any, ...]]:
        """Cut sequences, given as all chunks of some rows, into blocks of n chunks; subclasses may append to each."""
        pieces = []
        for x in sequences:
            pieces.append(repeat(None) if x is None else x.split(n))
        return zip(*pieces, strict=False)

    def forward(self, S: Tensor, y: Tensor, *pieces: Any) -> tuple[Tensor, float]:
        """Write y; returns the state after the block, and a number that is not finite if one in y or that state is not.

        The next call may overwrite the state.
        """
        result, S = self.form(*pieces)(*pieces, S)
        y.copy_(result)
        return S, result.sum().item()

    def kept(self, S: Tensor) -> Tensor:
        """What `backward` gets as S: the state before the block last computed by `forward`, or more than that."""
        return S

    def backward(self, S: Tensor, dS: Tensor, grads: Sequence[Any], dy: Tensor, *pieces: Any) -> Tensor:
        """Write the gradients of the pieces, given dS of the state after the block and dy; returns that of S.

        Gradients of constants are added to what is there.
        """
        *inputs, before = (None if x is None else x.detach().requires_grad_() for x in (*pieces, S))
        with torch.enable_grad():
            results = self.form(*pieces)(*inputs, before)
        *found, dS = torch.autograd.grad(results, [x for x in (*inputs, before) if x is not None], (dy, dS))
        for place, grad in zip((x for x in grads if x is not None), found, strict=True):
            place.copy_(grad)
        return dS

    def form(self, *pieces: Any) -> Callable[..., tuple[Tensor, Tensor]]:
        """What computes these pieces where `forward` and `backward` are not overridden: (*pieces, S) -> (y, state)."""
        return self.exact

    def exact(self, *pieces_and_state: Any) -> tuple[Tensor, Tensor]:
        """y and the state after the block by the listing, which is exact for any decays."""
        *pieces, S = pieces_and_state
        length = pieces[0].shape[3]
        y, S = self.listing(*(None if x is None else from_chunks(x) for x in pieces), S, length)
        return in_chunks(y, length), S


class OverBlocks(torch.autograd.Function):
    """y, the state after the last token, and whether both are finite."""

    @staticmethod
    def forward(
        ctx: Any,
        quick: type[Block],
        listing: Listing,
        length: int,
        keep: bool,
        names: tuple[str, ...],
        like: Tensor,
        state: Tensor,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, Tensor, bool]:
        keep_what_is_freed()
        first, y, state, total = state, empty_result(like), state.clone(), 0.0
        made: dict[torch.Size, Block] = {}  # by the shape of y
        sequences, constants = tensors[: len(names)], tensors[len(names) :]
        blocks = _blocks(quick, length, state, sequences, (y,))
        keep = keep and any(ctx.needs_input_grad)
        kept = []
        for i, rows, of_block, (place,) in blocks:
            if not right_values(quick.LOOKS_AT, names, of_block):
                return y, state, False
            if like.dtype != state.dtype:
                of_block = _wide(of_block, state.dtype)
            if i == 0:
                S = state[rows]
            before = first[rows] if i == 0 else S.clone() if keep else S
            if place.shape not in made:
                made[place.shape] = quick(listing, S, *of_block, *constants)
            S, number = made[place.shape].forward(S, place, *of_block, *constants)
            total += number
            if keep:
                kept.append(made[place.shape].kept(before))
            if i == blocks[-1][0]:
                state[rows] = S
        if keep:
            ctx.save_for_backward(first, *tensors, *kept)
            ctx.arguments, ctx.n_sequences, ctx.n_tensors = (quick, listing, length), len(names), len(tensors)
        return y, state, isfinite(total)

    @staticmethod
    def backward(ctx: Any, dy: Tensor, dstate: Tensor, _: None) -> tuple[Tensor | None, ...]:
        state, *saved = ctx.saved_tensors
        tensors, kept = saved[: ctx.n_tensors], saved[ctx.n_tensors :]
        with without_autocast("cpu"):
            if torch.is_grad_enabled():  # what is returned will be differentiated again
                return *6 * [None], *_through_listing(ctx, dy, dstate, state, tensors)
            return *6 * [None], *_through_blocks(ctx, dy, dstate, tensors, kept)


def _through_listing(
    ctx: Any, dy: Tensor, dstate: Tensor, state: Tensor, tensors: Sequence[Any]
) -> list[Tensor | None]:
    """The gradients of the first state and the tensors, such that autograd can differentiate them."""
    _, listing, length = ctx.arguments
    # Views, because one tensor may be several arguments.
    arguments = [None if x is None else x.view_as(x) for x in (*tensors, state)]
    y, after = listing(*arguments, length)
    asked = [x for x in arguments if x is not None and x.requires_grad]
    results = (y.to(dy.dtype), after), asked, (dy, dstate)
    found = iter(torch.autograd.grad(*results, create_graph=True, allow_unused=True))
    *grads, dstate_before = (next(found) if x is not None and x.requires_grad else None for x in arguments)
    return [dstate_before, *grads]


def _through_blocks(
    ctx: Any, dy: Tensor, dstate: Tensor, tensors: Sequence[Any], kept: Sequence[Tensor]
) -> list[Tensor | None]:
    """The same numbers, faster, from the last block to the first."""
    sequences, constants = tensors[: ctx.n_sequences], tensors[ctx.n_sequences :]
    quick, listing, length = ctx.arguments
    grads = [None if x is None else empty_result(x) for x in sequences]
    of_constants = [torch.zeros_like(x) for x in constants]
    dstate, made = dstate.clone(), {}
    blocks = _blocks(quick, length, dstate, sequences, (dy.to(dstate.dtype), *grads))
    for (_, rows, of_block, (dy_of_block, *places)), S in reversed(list(zip(blocks, kept, strict=True))):
        shape = dy_of_block.shape
        if dy.dtype != dstate.dtype:
            of_block = _wide(of_block, dstate.dtype)
        if shape not in made:
            made[shape] = quick(listing, dstate[rows], *of_block, *constants)
        places += of_constants
        dstate[rows] = made[shape].backward(S, dstate[rows], places, dy_of_block, *of_block, *constants)
    return [dstate, *grads, *of_constants]


def _wide(pieces: Sequence[Any], dtype: torch.dtype) -> tuple[Any, ...]:
    """16-bit tensors in the type of the state."""
    return tuple(x.to(dtype) if isinstance(x, Tensor) else x for x in pieces)


def _blocks(
    quick: type[Block], length: int, state: Tensor, sequences: Sequence[Tensor | None], others: Sequence[Any]
) -> list[tuple[int, slice, tuple[Any, ...], tuple[Any, ...]]]:
    """For every block: its number within its rows, the rows, and its pieces of the sequences and of the others.

    Blocks of the same rows are in order of time. What is left at the end is a shorter chunk of its own.
    """
    batch, time = others[0].shape[:2]
    room = max(1, BLOCK_NUMEL // max(1, state.shape[1] * length * max(length, *state.shape[2:])))  # in chunks of a row
    n_rows, whole = min(batch, room), time - time % length
    blocks: list[tuple[int, slice, tuple[Any, ...], tuple[Any, ...]]] = []
    n_chunks = max(1, room // n_rows)
    for row in range(0, batch, n_rows):
        rows, first = slice(row, row + n_rows), len(blocks)
        for tokens, size in ((slice(0, whole), length), (slice(whole, time), time - whole)):
            if size and tokens.start < tokens.stop:
                views = []
                for x in (*sequences, *others):
                    views.append(x if x is None else in_chunks(x[rows, tokens], size))
                mine = quick.split(n_chunks, *views[: len(sequences)])
                for pieces in zip(mine, Block.split(n_chunks, *views[len(sequences) :]), strict=True):
                    blocks.append((len(blocks) - first, rows, *pieces))
    return blocks
