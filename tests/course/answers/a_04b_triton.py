"""Answers to the exercises of 04b."""

from lecture17.triton_lab.interpreter import tl, triton

from . import right, wrong

TOTALS = "04b_triton-kernel-masked-load"
STATE = "04b_triton-kernel-chunk-state"


@right(TOTALS)
@triton.jit
def scalar_loop(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    acc = 0.0
    for t in range(L):
        place = chunk * L + t
        acc += tl.load(log_a + head * N + place, mask=place < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(acc))


@wrong(TOTALS, "?")
@triton.jit
def mask_forgotten(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    place = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + place)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


@wrong(TOTALS, "?")
@triton.jit
def other_forgotten(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    place = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + place, mask=place < N)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


@wrong(TOTALS, "?")
@triton.jit
def mask_by_chunk_length(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = tl.arange(0, L)
    logs = tl.load(log_a + head * N + chunk * L + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


@wrong(TOTALS, "?")
@triton.jit
def log_stored(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    place = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + place, mask=place < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.sum(logs, 0))


@right(STATE)
@triton.jit
def logs_shifted_by_a_mask(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = tl.arange(0, L)
    row = chunk * L + t
    inside = row < N
    later = tl.load(log_a + head * N + row + 1, mask=(t + 1 < L) & (row + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    n, d = tl.arange(0, BK), tl.arange(0, BV)
    b = tl.load(B + (head * N + row)[:, None] * D_STATE + n, mask=inside[:, None] & (n < D_STATE), other=0.0)
    v = tl.load(x + (head * N + row)[:, None] * D + d, mask=inside[:, None] & (d < D), other=0.0)
    out = tl.dot(tl.trans(b * decay[:, None]), v, input_precision="ieee")
    place = (head * chunks + chunk) * D_STATE * D + n[:, None] * D + d
    tl.store(added + place, out, mask=(n < D_STATE)[:, None] & (d < D))


@wrong(STATE, "?")
@triton.jit
def own_decay_counted(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = tl.arange(0, L)
    row = chunk * L + t
    inside = row < N
    logs = tl.load(log_a + head * N + row, mask=inside, other=0.0)
    decay = tl.exp(tl.cumsum(logs, 0, reverse=True))
    n, d = tl.arange(0, BK), tl.arange(0, BV)
    b = tl.load(B + (head * N + row)[:, None] * D_STATE + n, mask=inside[:, None] & (n < D_STATE), other=0.0)
    v = tl.load(x + (head * N + row)[:, None] * D + d, mask=inside[:, None] & (d < D), other=0.0)
    out = tl.dot(tl.trans(b * decay[:, None]), v, input_precision="ieee")
    place = (head * chunks + chunk) * D_STATE * D + n[:, None] * D + d
    tl.store(added + place, out, mask=(n < D_STATE)[:, None] & (d < D))


@wrong(STATE, "?")
@triton.jit
def next_chunk_counted(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    row = chunk * L + tl.arange(0, L)
    inside = row < N
    later = tl.load(log_a + head * N + row + 1, mask=row + 1 < N, other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    n, d = tl.arange(0, BK), tl.arange(0, BV)
    b = tl.load(B + (head * N + row)[:, None] * D_STATE + n, mask=inside[:, None] & (n < D_STATE), other=0.0)
    v = tl.load(x + (head * N + row)[:, None] * D + d, mask=inside[:, None] & (d < D), other=0.0)
    out = tl.dot(tl.trans(b * decay[:, None]), v, input_precision="ieee")
    place = (head * chunks + chunk) * D_STATE * D + n[:, None] * D + d
    tl.store(added + place, out, mask=(n < D_STATE)[:, None] & (d < D))


@wrong(STATE, "?")
@triton.jit
def decay_forgotten(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    row = chunk * L + tl.arange(0, L)
    inside = row < N
    n, d = tl.arange(0, BK), tl.arange(0, BV)
    b = tl.load(B + (head * N + row)[:, None] * D_STATE + n, mask=inside[:, None] & (n < D_STATE), other=0.0)
    v = tl.load(x + (head * N + row)[:, None] * D + d, mask=inside[:, None] & (d < D), other=0.0)
    out = tl.dot(tl.trans(b), v, input_precision="ieee")
    place = (head * chunks + chunk) * D_STATE * D + n[:, None] * D + d
    tl.store(added + place, out, mask=(n < D_STATE)[:, None] & (d < D))


@wrong(STATE, "?")
@triton.jit
def cumulative_sums_subtracted(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    row = chunk * L + tl.arange(0, L)
    inside = row < N
    logs = tl.load(log_a + head * N + row, mask=inside, other=0.0)
    decay = tl.exp(tl.sum(logs, 0) - tl.cumsum(logs, 0))
    n, d = tl.arange(0, BK), tl.arange(0, BV)
    b = tl.load(B + (head * N + row)[:, None] * D_STATE + n, mask=inside[:, None] & (n < D_STATE), other=0.0)
    v = tl.load(x + (head * N + row)[:, None] * D + d, mask=inside[:, None] & (d < D), other=0.0)
    out = tl.dot(tl.trans(b * decay[:, None]), v, input_precision="ieee")
    place = (head * chunks + chunk) * D_STATE * D + n[:, None] * D + d
    tl.store(added + place, out, mask=(n < D_STATE)[:, None] & (d < D))
