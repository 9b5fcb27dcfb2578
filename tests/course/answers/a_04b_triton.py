"""Answers to the exercises of 04b. A kernel is text for other processes, so what is said of it stands below it."""

from lecture17.triton_lab.interpreter import tl, triton

from . import right, wrong

TOTALS = "04b_triton-kernel-masked-load"
STATE = "04b_triton-kernel-chunk-state"


@triton.jit
def by_the_row_of_the_chunk(log_a, total, N, chunks, L: tl.constexpr):
    here = tl.program_id(0) * chunks + tl.program_id(1)
    first = tl.program_id(1) * L
    row = log_a + tl.program_id(0) * N
    i = tl.arange(0, L)
    kept = tl.exp(tl.load(row + first + i, mask=i < N - first, other=float("-inf")))
    kept = tl.where(i < N - first, kept, 1.0)
    logs = tl.where(i < N - first, tl.load(row + first + i, mask=i < N - first, other=0.0), 0.0)
    tl.store(total + here, tl.where(tl.min(kept, 0) == 0.0, 0.0, tl.exp(tl.sum(logs))))


right(TOTALS)(by_the_row_of_the_chunk)


@triton.jit
def without_other_but_where(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    here = t < N
    logs = tl.where(here, tl.load(log_a + head * N + t, mask=here), 0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, axis=0)))


right(TOTALS)(without_other_but_where)


@triton.jit
def no_mask(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(tl.load(log_a + head * N + t), 0)))


wrong(TOTALS, 'the load has no mask, or one that is always true')(no_mask)


@triton.jit
def no_other(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(tl.load(log_a + head * N + t, mask=t < N), 0)))


wrong(TOTALS, '`other` is not given')(no_other)


@triton.jit
def other_is_the_neutral_one_of_products(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=1.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'what is masked out counts as 1')(other_is_the_neutral_one_of_products)


@triton.jit
def other_is_minus_infinity(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=float("-inf"))
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'what is masked out counts as a decay of 0')(other_is_minus_infinity)


@triton.jit
def log_is_stored(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.sum(logs, 0))


wrong(TOTALS, 'the exponential is missing')(log_is_stored)


@triton.jit
def sum_of_exponentials(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.sum(tl.exp(logs), 0))


wrong(TOTALS, 'the decays are added instead of multiplied')(sum_of_exponentials)


@triton.jit
def mask_by_the_place_in_the_chunk(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    i = tl.arange(0, L)
    logs = tl.load(log_a + head * N + chunk * L + i, mask=i < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'the load has no mask, or one that is always true')(mask_by_the_place_in_the_chunk)


@triton.jit
def always_the_first_head(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'all programs read the first head')(always_the_first_head)


@triton.jit
def rows_as_long_as_their_chunks(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * chunks * L + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'the rows of log_a are taken to be filled up to whole chunks')(rows_as_long_as_their_chunks)


@triton.jit
def program_ids_swapped(log_a, total, N, chunks, L: tl.constexpr):
    chunk, head = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'head and chunk are exchanged')(program_ids_swapped)


@triton.jit
def chunks_overlap(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'each chunk begins one token after the previous one')(chunks_overlap)


@triton.jit
def one_place_for_all_heads(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'all heads store to the same places')(one_place_for_all_heads)


@triton.jit
def mask_one_place_too_far(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t <= N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, 'the mask lets one token too many through')(mask_one_place_too_far)


@triton.jit
def totals_in_columns(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + chunk * tl.num_programs(0) + head, tl.exp(tl.sum(logs, 0)))


wrong(TOTALS, '`total` is stored column by column')(totals_in_columns)


@triton.jit
def values_are_decayed(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    n = tl.minimum(N - chunk * L, L)
    row = head * N + chunk * L + i
    decay = tl.exp(tl.cumsum(tl.load(log_a + row + 1, mask=i < n - 1, other=0.0), 0, reverse=True))
    keys = tl.load(B + k[:, None] + row[None, :] * D_STATE, mask=(k < D_STATE)[:, None] & (i < n)[None, :], other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=(i < n)[:, None] & (v < D)[None, :], other=0.0)
    S = tl.dot(keys, values * decay[:, None], input_precision="ieee")
    at = ((head * chunks + chunk) * D_STATE + k[:, None]) * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


right(STATE)(values_are_decayed)


@triton.jit
def pointers_moved_to_the_chunk(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, first = tl.program_id(0), tl.program_id(1) * L
    x += (head * N + first) * D
    B += (head * N + first) * D_STATE
    log_a += head * N + first
    added += (head * chunks + tl.program_id(1)) * D_STATE * D
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    real = i < N - first
    later = tl.load(log_a + i + 1, mask=(i < L - 1) & (i + 1 < N - first), other=0.0)
    decay = tl.where(real, tl.exp(tl.cumsum(later, 0, reverse=True)), 0.0)
    values = tl.load(x + i[:, None] * D + v, mask=real[:, None] & (v < D), other=0.0)
    keys = tl.load(B + i[:, None] * D_STATE + k, mask=real[:, None] & (k < D_STATE), other=0.0) * decay[:, None]
    S = tl.dot(tl.trans(values), keys, input_precision="ieee")
    tl.store(added + k[None, :] * D + v[:, None], S, mask=(k < D_STATE)[None, :] & (v < D)[:, None])


right(STATE)(pointers_moved_to_the_chunk)


@triton.jit
def own_token_decays_too(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row, mask=t < N, other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'the decay of a token acts on what that token writes')(own_token_decays_too)


@triton.jit
def decays_since_the_start(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    sums = tl.cumsum(tl.load(log_a + row, mask=t < N, other=0.0), 0)
    decay = tl.exp(sums)
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'what is written is decayed from the start of the chunk, not to its end')(decays_since_the_start)


@triton.jit
def difference_of_sums(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    logs = tl.load(log_a + row, mask=t < N, other=0.0)
    decay = tl.exp(tl.sum(logs, 0) - tl.cumsum(logs, 0))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'the decay is the exponential of a difference of two sums')(difference_of_sums)


@triton.jit
def reverse_forgotten(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'what is written is decayed from the start of the chunk, not to its end')(reverse_forgotten)


@triton.jit
def next_chunk_is_read(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=t + 1 < N, other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'the first decay of the next chunk acts too')(next_chunk_is_read)


@triton.jit
def next_head_is_read(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=i + 1 < L, other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'the decay beyond the last token of a head is read')(next_head_is_read)


@triton.jit
def no_decay(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'nothing decays')(no_decay)


@triton.jit
def exp_forgotten(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.cumsum(later, 0, reverse=True)
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'the exponential is missing')(exp_forgotten)


@triton.jit
def padded_strides(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * BK + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * BV + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'rows of B and x are taken to be as long as the tiles are wide')(padded_strides)


@triton.jit
def stored_with_padded_strides(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * BK * BV + k[:, None] * BV + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, "the state is stored as if it had the tile's sides")(stored_with_padded_strides)


@triton.jit
def columns_without_mask(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None], (t < N)[:, None]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'the loads mask tokens but not features')(columns_without_mask)


@triton.jit
def tokens_without_mask(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (k < D_STATE)[None, :], (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'the loads mask features but not tokens')(tokens_without_mask)


@triton.jit
def store_without_mask(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S)


wrong(STATE, 'the store has no mask')(store_without_mask)


@triton.jit
def tf32_by_default(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values)
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'a GPU would round the factors of tl.dot to TF32')(tf32_by_default)


@triton.jit
def not_transposed(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(keys * decay[:, None], values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'tl.trans turns a tile over')(not_transposed)


@triton.jit
def heads_forgotten_in_the_loads(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'all programs read the first head')(heads_forgotten_in_the_loads)


@triton.jit
def stored_transposed(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(values), keys * decay[:, None], input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + v[:, None] * D_STATE + k[None, :]
    tl.store(added + at, S, mask=(v < D)[:, None] & (k < D_STATE)[None, :])


wrong(STATE, 'the state is values × keys')(stored_transposed)


@triton.jit
def decay_of_the_other_axis(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, BK), tl.arange(0, BV)
    t = chunk * L + i
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B, in_x = (t < N)[:, None] & (k < D_STATE)[None, :], (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[None, :]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])


wrong(STATE, 'a[:, None] goes with rows')(decay_of_the_other_axis)
