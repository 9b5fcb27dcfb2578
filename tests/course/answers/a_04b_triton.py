"""Answers to the exercises of 04b. The wrong ones are kernels with a slip, written into the text of a plain one."""

from lecture17.triton_lab.interpreter import tl, triton

from ..test_exercises import define
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
def token_by_token(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    logs = 0.0
    for i in range(L):
        t = chunk * L + i
        logs += tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(logs))


right(TOTALS)(token_by_token)


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


TOTAL = """
@triton.jit
def {name}(log_a, total, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))
"""
SUM = """
@triton.jit
def {name}(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):
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
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])
"""
LATER = "log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N)", "log_a + row, mask=t < N"
REVERSED = "tl.exp(tl.cumsum(later, 0, reverse=True))"
IN_B, IN_X, STORED = " & (k < D_STATE)[None, :]", " & (v < D)[None, :]", "(k < D_STATE)[:, None] & (v < D)[None, :]"


def with_slip(exercise, name, cause, *changes):
    """The answer `name`: the plain kernel with each of `changes`, (old, new), made in it."""
    source = (TOTAL if exercise == TOTALS else SUM).format(name=name)
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    names = {"tl": tl, "triton": triton}
    define(source, names)
    wrong(exercise, cause)(names[name])


with_slip(TOTALS, "no_mask", "the load has no mask, or one that is always true", (", mask=t < N, other=0.0", ""))
with_slip(TOTALS, "no_other", "`other` is not given", (", other=0.0", ""))
with_slip(TOTALS, "other_is_the_neutral_one_of_products", "what is masked out counts as 1", ("other=0.0", "other=1.0"))
with_slip(
    TOTALS, "other_is_minus_infinity", "what is masked out counts as a decay of 0", ("other=0.0", 'other=float("-inf")')
)
with_slip(TOTALS, "log_is_stored", "the exponential is missing", ("tl.exp(tl.sum(logs, 0))", "tl.sum(logs, 0)"))
with_slip(
    TOTALS,
    "sum_of_exponentials",
    "the decays are added instead of multiplied",
    ("tl.exp(tl.sum(logs, 0))", "tl.sum(tl.exp(logs), 0)"),
)
with_slip(
    TOTALS,
    "mask_by_the_place_in_the_chunk",
    "the load has no mask, or one that is always true",
    ("mask=t < N", "mask=tl.arange(0, L) < N"),
)
with_slip(TOTALS, "always_the_first_head", "all programs read the first head", ("log_a + head * N + t", "log_a + t"))
with_slip(
    TOTALS,
    "rows_as_long_as_their_chunks",
    "the rows of log_a are taken to be filled up to whole chunks",
    ("head * N", "head * chunks * L"),
)
with_slip(TOTALS, "program_ids_swapped", "head and chunk are exchanged", ("head, chunk =", "chunk, head ="))
with_slip(TOTALS, "chunks_overlap", "each chunk begins one token after the previous one", ("chunk * L", "chunk"))
with_slip(
    TOTALS,
    "one_place_for_all_heads",
    "all heads store to the same places",
    ("total + head * chunks + chunk", "total + chunk"),
)
with_slip(TOTALS, "mask_one_place_too_far", "the mask lets one token too many through", ("t < N", "t <= N"))
with_slip(
    TOTALS,
    "totals_in_columns",
    "`total` is stored column by column",
    ("head * chunks + chunk", "chunk * tl.num_programs(0) + head"),
)
with_slip(STATE, "own_token_decays_too", "the decay of a token acts on what that token writes", LATER)
with_slip(
    STATE,
    "decays_since_the_start",
    "what is written is decayed from the start of the chunk, not to its end",
    LATER,
    (", reverse=True", ""),
)
with_slip(
    STATE,
    "difference_of_sums",
    "the decay is the exponential of a difference of two sums",
    LATER,
    (REVERSED, "tl.exp(tl.sum(later, 0) - tl.cumsum(later, 0))"),
)
with_slip(
    STATE,
    "reverse_forgotten",
    "what is written is decayed from the start of the chunk, not to its end",
    (", reverse=True", ""),
)
with_slip(
    STATE,
    "next_chunk_is_read",
    "the first decay of the next chunk acts too",
    ("(i + 1 < L) & (t + 1 < N)", "t + 1 < N"),
)
with_slip(
    STATE,
    "next_head_is_read",
    "the decay beyond the last token of a head is read",
    ("(i + 1 < L) & (t + 1 < N)", "i + 1 < L"),
)
with_slip(STATE, "no_decay", "nothing decays", ("keys * decay[:, None]", "keys"))
with_slip(STATE, "exp_forgotten", "the exponential is missing", (REVERSED, "tl.cumsum(later, 0, reverse=True)"))
with_slip(
    STATE,
    "padded_strides",
    "rows of B and x are taken to be as long as the tiles are wide",
    ("row[:, None] * D_STATE", "row[:, None] * BK"),
    ("row[:, None] * D +", "row[:, None] * BV +"),
)
with_slip(
    STATE,
    "stored_with_padded_strides",
    "the state is stored as if it had the tile's sides",
    ("D_STATE * D + k[:, None] * D +", "BK * BV + k[:, None] * BV +"),
)
with_slip(
    STATE,
    "columns_without_mask",
    "the loads mask tokens but not features",
    (IN_B + ", (t", ", (t"),
    (IN_X + "\n    keys", "\n    keys"),
)
with_slip(STATE, "tokens_without_mask", "the loads mask features but not tokens", ("(t < N)[:, None] & ", ""))
with_slip(STATE, "store_without_mask", "the store has no mask", (", mask=" + STORED, ""))
with_slip(STATE, "tf32_by_default", "a GPU would round the factors of tl.dot to TF32", (', input_precision="ieee"', ""))
with_slip(
    STATE, "not_transposed", "tl.trans turns a tile over", ("tl.trans(keys * decay[:, None])", "keys * decay[:, None]")
)
with_slip(STATE, "heads_forgotten_in_the_loads", "all programs read the first head", ("row = head * N + t", "row = t"))
with_slip(
    STATE,
    "stored_transposed",
    "the state is values × keys",
    ("tl.trans(keys * decay[:, None]), values", "tl.trans(values), keys * decay[:, None]"),
    ("k[:, None] * D + v[None, :]\n", "v[:, None] * D_STATE + k[None, :]\n"),
    (STORED + ")\n", "(v < D)[:, None] & (k < D_STATE)[None, :])\n"),
)
with_slip(
    STATE, "decay_of_the_other_axis", "a[:, None] goes with rows", ("keys * decay[:, None]", "keys * decay[None, :]")
)
