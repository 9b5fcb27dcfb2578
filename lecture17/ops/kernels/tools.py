"""What the kernels share: loads and stores of tiles, matrix products, sizes, and the one place that launches.

A program of a kernel handles one chunk of one head: `bh` counts sequences and heads, `chunk` the chunks.
"""

# mypy: disallow-incomplete-defs=False
# In a kernel only the constants are annotated.

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..type_validation import without_autocast
from ..validation import refuse_second_derivative

# A GPU multiplies tiles of at least 16 × 16; the interpreter would take smaller ones.
SMALLEST = 16
SMALLEST_TILE = tl.constexpr(SMALLEST)
INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))

Launch = tuple[Any, tuple[Any, ...], dict[str, Any]]  # kernel, arguments, constants
_noted: list[Launch] | None = None


@contextmanager
def noted_launches() -> Iterator[list[Launch]]:
    """Note kernels instead of launching them, with all that a compiler must know about a launch."""
    global _noted
    _noted = []
    try:
        yield _noted
    finally:
        _noted = None


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **constants: Any) -> None:
    """Run one program of the kernel for each point of the grid, on the device of the first argument."""
    if _noted is not None:
        _noted.append((kernel, args, constants))
        return
    with torch.cuda.device_of(args[0]):
        kernel[grid](*args, **constants)


def tile(size: int, largest: int = 64) -> int:
    """The side of a tile for an axis of this size: a power of two from 16 to `largest`."""
    return min(largest, max(SMALLEST, triton.next_power_of_2(size)))


def contiguous(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, row by row in memory: what the kernels' addresses assume."""
    return tuple(t.contiguous() for t in tensors)


def differentiable(mixer: str, forward: Any, backward: Any, values: int, wide: bool = False) -> None:
    """Tell torch which shapes two operators return, and that the second differentiates the first.

    forward(*tensors, state, chunk) -> (y, state), y like argument number `values` (if wide in the type of the state);
    backward(*tensors, state, dy, dstate, chunk) -> the gradients of all tensors and the state
    """

    def differentiate(ctx: Any, dy: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative(f'{mixer}.chunkwise with backend="triton"', 'backend="torch"')
        with without_autocast(dy.device.type):
            return *backward(*ctx.saved_tensors, dy, dstate, ctx.chunk), None

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.chunk = inputs
        ctx.save_for_backward(*tensors)

    def results(*args: Any) -> tuple[Tensor, Tensor]:
        y, state = args[values], args[-2]
        return y.new_empty(y.shape, dtype=(state if wide else y).dtype), state.new_empty(state.shape)

    forward.register_fake(results)
    backward.register_fake(lambda *args: tuple(t.new_empty(t.shape) for t in args[:-3]))
    forward.register_autograd(differentiate, setup_context=keep)


@triton.jit
def dot(a, b):
    """a @ b summed in float32; float32 factors keep nearly all their digits."""
    tl.static_assert(a.shape[0] >= SMALLEST_TILE and a.shape[1] >= SMALLEST_TILE, "a GPU refuses dots below 16")
    tl.static_assert(b.shape[1] >= SMALLEST_TILE, "a GPU refuses dots below 16")
    if INTERPRETED:  # the interpreter's own product of bfloat16 numbers is wrong
        return tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b, input_precision="tf32x3")


@triton.jit
def program(chunks):
    """(bh, chunk) of this program, of which there are chunks · bh on the first axis of the grid."""
    pid = tl.program_id(0).to(tl.int64)  # offsets into long sequences exceed 2³¹
    return pid // chunks, pid % chunks


@triton.jit
def load_rows(x, bh, t, d, N, HEADS: tl.constexpr, D: tl.constexpr, SHARE: tl.constexpr = 1):
    """(tokens, features) of x: (batch, N, HEADS / SHARE, D) at tokens t and features d, 0 beyond the ends."""
    b, h = bh // HEADS, bh % HEADS // SHARE
    at = ((b * N + t)[:, None] * (HEADS // SHARE) + h) * D + d[None, :]
    return tl.load(x + at, mask=(t < N)[:, None] & (d < D)[None, :], other=0.0)


@triton.jit
def store_rows(x, value, bh, t, d, N, HEADS: tl.constexpr, D: tl.constexpr):
    """The inverse of `load_rows`."""
    at = ((bh // HEADS * N + t)[:, None] * HEADS + bh % HEADS) * D + d[None, :]
    tl.store(x + at, value.to(x.dtype.element_ty), mask=(t < N)[:, None] & (d < D)[None, :])


@triton.jit
def load_row(x, bh, t, d, N, HEADS: tl.constexpr, D: tl.constexpr):
    """Features d of one token t of x: (batch, N, HEADS, D), as float32, 0 beyond the ends."""
    at = ((bh // HEADS * N + t) * HEADS + bh % HEADS) * D + d
    return tl.load(x + at, mask=(t < N) & (d < D), other=0.0).to(tl.float32)


@triton.jit
def store_row(x, value, bh, t, d, N, HEADS: tl.constexpr, D: tl.constexpr):
    """The inverse of `load_row`, for a token that exists."""
    at = ((bh // HEADS * N + t) * HEADS + bh % HEADS) * D + d
    tl.store(x + at, value.to(x.dtype.element_ty), mask=d < D)


@triton.jit
def load_state(states, i, k, v, DK: tl.constexpr, DV: tl.constexpr):
    """Keys k and values v of the i-th of the states, (…, DK, DV), 0 beyond the ends."""
    at = (i * DK + k)[:, None] * DV + v[None, :]
    return tl.load(states + at, mask=(k < DK)[:, None] & (v < DV)[None, :], other=0.0)


@triton.jit
def store_state(states, value, i, k, v, DK: tl.constexpr, DV: tl.constexpr):
    """The inverse of `load_state`."""
    at = (i * DK + k)[:, None] * DV + v[None, :]
    tl.store(states + at, value, mask=(k < DK)[:, None] & (v < DV)[None, :])


@triton.jit
def _pass_states(
    states,
    total,
    first,
    chunks,
    DK: tl.constexpr,
    DV: tl.constexpr,
    DECAYS: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    REVERSE: tl.constexpr,
    STAGES: tl.constexpr,
):
    bh = tl.program_id(0).to(tl.int64)
    k = tl.program_id(1) * BK + tl.arange(0, BK)
    v = tl.program_id(2) * BV + tl.arange(0, BV)
    slot = bh * (chunks + 1)
    S = load_state(first, bh, k, v, DK, DV)
    store_state(states, S, slot + (chunks if REVERSE else 0), k, v, DK, DV)
    for i in tl.range(0, chunks, num_stages=STAGES):
        c = chunks - 1 - i if REVERSE else i
        to = c if REVERSE else c + 1
        decay = tl.load(total + (bh * chunks + c) * DECAYS + k % DECAYS, mask=k < DK, other=0.0)
        S = decay[:, None] * S + load_state(states, slot + to, k, v, DK, DV)
        store_state(states, S, slot + to, k, v, DK, DV)


def pass_states(states: Tensor, total: Tensor, first: Tensor, reverse: bool = False) -> None:
    """Turn what each chunk adds to the state into the states themselves, in place.

        states[c + 1] += total[c] states[c], from states[0] = first;  in reverse:
        states[c] += total[c] states[c + 1], from states[chunks] = first

    states: (b·h, chunks + 1, d_k, d_v), total: (b·h, chunks, d_k or 1), first: (b, h, d_k, d_v).
    """
    bh, slots, dk, dv = states.shape
    # Chunks come one after another. So there are many small programs, and the next chunks are loaded ahead.
    sizes = {"DK": dk, "DV": dv, "DECAYS": total.shape[-1], "BK": 4, "BV": tile(dv), "REVERSE": reverse, "STAGES": 6}
    grid = (bh, triton.cdiv(dk, sizes["BK"]), triton.cdiv(dv, sizes["BV"]))
    launch(_pass_states, grid, states, total, first, slots - 1, **sizes)
