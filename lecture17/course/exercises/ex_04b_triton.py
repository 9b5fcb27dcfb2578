"""Exercises of 04b_triton: kernels, run in Triton's interpreter and compiled for GPUs in processes of their own."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from lecture17.reference import ssd

from ..exercise import Exercise, Function, Inputs, Misconception, WrongForm

ARCHITECTURES = (80, 90)  # A100 and H100


@dataclass(frozen=True)
class Text:
    """A kernel given as text: here a right one with a slip."""

    source: str

    def __call__(self, *_: Any) -> None:
        raise TypeError("a kernel is launched, not called")


def slip(right: str, *changes: tuple[str, str]) -> Text:
    """`right` with each of the changes (old, new) made in it."""
    source = right
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    return Text(source)


def launched(answer: Function, grid: tuple[int, ...], *args: Any, **constants: int) -> None:
    """Run a kernel outside this process. Raises NotImplementedError if it is empty, WrongForm if it fails."""
    from lecture17 import triton_lab

    if not isinstance(answer, Text) and "raise NotImplementedError" in inspect.getsource(getattr(answer, "fn", answer)):
        raise NotImplementedError
    try:
        triton_lab.interpret(answer, grid, *args, **constants)
    except triton_lab.Refused as refused:
        raise WrongForm(str(refused)) from None


def compile_for_gpus(answer: Function, *args: Any, dots: int, **constants: int) -> None:
    """Raises WrongForm for a kernel with the right numbers that is not what a GPU needs."""
    from lecture17 import triton_lab

    for sm in ARCHITECTURES:
        try:
            row, texts = triton_lab.compiled(answer, *args, sm=sm, **constants)
        except triton_lab.Refused as refused:
            raise WrongForm(f"the numbers are right in the interpreter, but {refused}") from None
        if row.dots < dots:
            raise WrongForm("the numbers are right, but there is no tl.dot: a GPU's tensor cores would stand idle")
        if "inputPrecision = tf32 " in texts["ttir"]:
            raise WrongForm(
                "the numbers are right in the interpreter, but a GPU would round the factors of tl.dot to TF32, which "
                'keeps 3 digits: write tl.dot(…, input_precision="ieee"), or "tf32x3"'
            )


def chunks_of(N: int, L: int) -> int:
    return -(-N // L)


def log_decays(rng: np.random.Generator, heads: int, N: int) -> np.ndarray:
    """Mild ones, sometimes with very strong ones or decays of exactly 0 among them."""
    log_a = rng.uniform(-0.4, 0.0, (heads, N))
    kind = rng.integers(3)
    if kind:
        log_a[rng.random((heads, N)) < 0.1] = -np.inf if kind == 1 else -5e3
        log_a[0, 2] = -np.inf if kind == 1 else -5e3
    return log_a.astype(np.float32)


# --- kernel-masked-load -------------------------------------------------------------------------------------------

TOTALS = """
@triton.jit
def chunk_totals(log_a, total, N, chunks, L: tl.constexpr):
    head = tl.program_id(0)
    chunk = tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))
"""


def draw_decays(rng: np.random.Generator) -> Inputs:
    """The last chunk is never full, and there are more chunks than heads."""
    L, heads = int(rng.choice([16, 32])), int(rng.integers(2, 4))
    N = L * int(rng.integers(heads, heads + 2)) + int(rng.integers(1, L))
    return {"log_a": 0.1 * log_decays(rng, heads, N), "L": L}


def expected_totals(log_a: np.ndarray, L: int) -> np.ndarray:
    sums = [log_a[:, t : t + L].astype(np.float64).sum(1) for t in range(0, log_a.shape[1], L)]
    return np.exp(np.stack(sums, 1)).astype(np.float32)


def run_totals(answer: Function, inputs: Inputs) -> np.ndarray:
    log_a, L = inputs["log_a"], inputs["L"]
    (heads, N), chunks = log_a.shape, chunks_of(log_a.shape[1], inputs["L"])
    total = np.full((heads, chunks), np.nan, np.float32)
    launched(answer, (heads, chunks), log_a, total, N, chunks, L=L)
    return total


def compile_totals(answer: Function) -> None:
    compile_for_gpus(answer, *np.zeros((2, 2, 40), np.float32), 40, 3, L=16, dots=0)


def chunk_and_head(inputs: Inputs, index: tuple[int, ...]) -> str:
    N, L = inputs["log_a"].shape[1], inputs["L"]
    return f"program ({index[0]}, {index[1]}), whose chunk has {min(L, N - index[1] * L)} of {L} tokens"


MASKED_LOAD = Exercise(
    id="04b_triton-kernel-masked-load",
    points=2,
    unfilled="Find the chunk's tokens, load their log decays with a mask, store the exponential of their sum.",
    draw=draw_decays,
    returns=("total",),
    verified="ragged lengths and decays of 0 included; no address is outside, and it compiles for A100 and H100",
    expected=expected_totals,
    where=chunk_and_head,
    tol=1e-5,
    run=run_totals,
    at_last=compile_totals,
    misconceptions=(
        Misconception(
            "the load has no mask, or one that is always true",
            "the last chunk is not full: give tl.load a mask that is true where t < N",
            slip(TOTALS, (", mask=t < N, other=0.0", "")),
        ),
        Misconception(
            "the mask lets one token too many through",
            "tokens are counted from 0, so the last one is N - 1: t < N",
            slip(TOTALS, ("t < N", "t <= N")),
        ),
        Misconception(
            "`other` is not given",
            "what a masked load leaves out is undefined on a GPU (here NaN): pass other=0.0, which adds nothing",
            slip(TOTALS, (", other=0.0", "")),
        ),
        Misconception(
            "what is masked out counts as 1",
            "1 is neutral for products; the logs are summed, so `other` must be 0",
            slip(TOTALS, ("other=0.0", "other=1.0")),
        ),
        Misconception(
            "what is masked out counts as a decay of 0",
            "exp(-inf) is 0, which leaves nothing of the last chunk; the logs are summed, so `other` must be 0",
            slip(TOTALS, ("other=0.0", 'other=float("-inf")')),
        ),
        Misconception(
            "all programs read the first chunk",
            "the tokens of a chunk begin at chunk * L: add that to tl.arange(0, L)",
            slip(TOTALS, ("chunk * L + tl.arange", "tl.arange")),
        ),
        Misconception(
            "each chunk begins one token after the previous one",
            "a chunk has L tokens: t = chunk * L + tl.arange(0, L)",
            slip(TOTALS, ("chunk * L + tl.arange", "chunk + tl.arange")),
        ),
        Misconception(
            "the rows of log_a are taken to be filled up to whole chunks",
            "each head's row has N numbers, not chunks * L: its first one is at log_a + head * N",
            slip(TOTALS, ("head * N + t", "head * chunks * L + t")),
        ),
        Misconception(
            "all heads store to the same places",
            "each head's row of `total` begins `chunks` numbers after the previous one: total + head * chunks + chunk",
            slip(TOTALS, ("total + head * chunks + chunk", "total + chunk")),
        ),
        Misconception(
            "`total` is stored column by column",
            "it is (heads, chunks), row by row in memory: total + head * chunks + chunk",
            slip(TOTALS, ("head * chunks + chunk,", "chunk * tl.num_programs(0) + head,")),
        ),
        Misconception(
            "all programs read the first head",
            "each head's row begins N numbers after the previous one: add head * N to the address",
            slip(TOTALS, ("head * N + t", "t")),
        ),
        Misconception(
            "head and chunk are exchanged",
            "the grid is (heads, chunks): tl.program_id(0) is the head, tl.program_id(1) the chunk",
            slip(
                TOTALS,
                ("head = tl.program_id(0)", "head = tl.program_id(1)"),
                ("chunk = tl.program_id(1)", "chunk = tl.program_id(0)"),
            ),
        ),
        Misconception(
            "the exponential is missing",
            "the log decays add up to the log of the total: store tl.exp of the sum",
            slip(TOTALS, ("tl.exp(tl.sum(logs, 0))", "tl.sum(logs, 0)")),
        ),
        Misconception(
            "the decays are added instead of multiplied",
            "sum the logs first, then take the exponential once: tl.exp(tl.sum(logs, 0))",
            slip(TOTALS, ("tl.exp(tl.sum(logs, 0))", "tl.sum(tl.exp(logs), 0)")),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "tl.program_id(0) is the head, tl.program_id(1) the chunk; t = chunk * L + tl.arange(0, L) are its tokens.",
        ),
        (
            "It says that a program reads outside of log_a",
            "log_a is a pointer to the first number. Token t of a head is at log_a + head * N + t, for t < N only.",
        ),
        (
            "total has entries that are not finite",
            "What you do not store stays NaN, and what a load leaves out is NaN unless `other` says what it is.",
        ),
    ),
)

# --- kernel-chunk-state -------------------------------------------------------------------------------------------

STATE = """
@triton.jit
def chunk_state(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):
    head = tl.program_id(0)
    chunk = tl.program_id(1)
    i = tl.arange(0, L)
    t = chunk * L + i
    k = tl.arange(0, BK)
    v = tl.arange(0, BV)
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B = (t < N)[:, None] & (k < D_STATE)[None, :]
    in_x = (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])
"""
OWN = (
    "tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)",
    "tl.load(log_a + row, mask=t < N, other=0.0)",
)


def draw_chunks(rng: np.random.Generator) -> Inputs:
    L, heads = int(rng.choice([16, 32])), int(rng.integers(2, 4))
    N = L * int(rng.integers(1, 3)) + int(rng.integers(2, L))
    d_state, d = rng.permutation(rng.choice(np.arange(3, 31), 2, replace=False))
    B, x = rng.normal(size=(heads, N, d_state)), rng.normal(size=(heads, N, d))
    return {"x": x.astype(np.float32), "B": B.astype(np.float32), "log_a": log_decays(rng, heads, N), "L": L}


def expected_states(x: np.ndarray, B: np.ndarray, log_a: np.ndarray, L: int) -> np.ndarray:
    """The state after each chunk, starting from zero, token by token."""
    x, B, log_a = (a.astype(np.float64) for a in (x, B, log_a))
    pieces = [slice(t, t + L) for t in range(0, x.shape[1], L)]
    heads = range(len(x))
    states = [[ssd.recurrent(x[h, p], log_a[h, p], B[h, p], B[h, p])[1] for p in pieces] for h in heads]
    return np.array(states, np.float32)


def run_states(answer: Function, inputs: Inputs) -> np.ndarray:
    x, B, log_a, L = inputs.values()
    (heads, N, D), D_STATE, chunks = x.shape, B.shape[-1], chunks_of(x.shape[1], L)
    added = np.full((heads, chunks, D_STATE, D), np.nan, np.float32)
    launched(answer, (heads, chunks), x, B, log_a, added, N, chunks, **tiles(D_STATE, D), L=L)
    return added


def tiles(D_STATE: int, D: int) -> dict[str, int]:
    """Widths, and the powers of two, at least 16, that hold them."""
    BK, BV = (max(16, 1 << (n - 1).bit_length()) for n in (D_STATE, D))
    return {"D_STATE": D_STATE, "D": D, "BK": BK, "BV": BV}


def compile_states(answer: Function) -> None:
    log_a, x = np.zeros((2, 40), np.float32), np.zeros((2, 40, 24), np.float32)
    compile_for_gpus(answer, x, x, log_a, x, 40, 2, **tiles(24, 20), L=32, dots=1)


CHUNK_STATE = Exercise(
    id="04b_triton-kernel-chunk-state",
    points=4,
    unfilled="Load a tile of B and one of x, decay each token to the chunk's end, store the product of the two tiles.",
    draw=draw_chunks,
    returns=("added",),
    verified="strong decays and decays of 0 included; no address is outside, and it compiles for A100 and H100",
    expected=expected_states,
    where=chunk_and_head,
    tol=1e-5,
    run=run_states,
    at_last=compile_states,
    misconceptions=(
        Misconception(
            "the decay of a token acts on what that token writes",
            "only the decays of later tokens act on what token t writes: load log_a from t + 1 on",
            slip(STATE, OWN),
        ),
        Misconception(
            "what is written is decayed from the start of the chunk, not to its end",
            "the decays after the token count: sum from the end, tl.cumsum(…, reverse=True)",
            slip(STATE, OWN, (", reverse=True", "")),
            also=(slip(STATE, (", reverse=True", "")),),
        ),
        Misconception(
            "the exponential is missing",
            "the sums are logs: a token is multiplied by tl.exp of what comes after it",
            slip(STATE, ("tl.exp(tl.cumsum(later, 0, reverse=True))", "tl.cumsum(later, 0, reverse=True)")),
        ),
        Misconception(
            "the decay beyond the last token of a head is read",
            "it is the first one of the next head, or lies outside of log_a: mask t + 1 < N as well as i + 1 < L",
            slip(STATE, ("(i + 1 < L) & (t + 1 < N)", "i + 1 < L")),
        ),
        Misconception(
            "all programs read the first head",
            "token t of a head is row head * N + t of x, of B and of log_a",
            slip(STATE, ("row = head * N + t", "row = t")),
        ),
        Misconception(
            "rows of B and x are taken to be as long as the tiles are wide",
            "BK and BV are the widths of tiles; from one row to the next it is D_STATE numbers in B, and D in x",
            slip(STATE, ("* D_STATE + k[None", "* BK + k[None"), ("row[:, None] * D +", "row[:, None] * BV +")),
            also=(
                slip(STATE, ("* D_STATE + k[None", "* BK + k[None")),
                slip(STATE, ("row[:, None] * D +", "row[:, None] * BV +")),
            ),
        ),
        Misconception(
            "the state is stored as if it had the tile's sides",
            "a state has D_STATE · D numbers, and its rows have D; BK and BV are the sides of the tile",
            slip(STATE, ("D_STATE * D + k[:, None] * D", "BK * BV + k[:, None] * BV")),
            also=(slip(STATE, ("k[:, None] * D +", "k[:, None] * BV +")),),
        ),
        Misconception(
            "the first decay of the next chunk acts too",
            "you want the state at the end of this chunk: mask out the token after its last, i + 1 < L",
            slip(STATE, ("(i + 1 < L) & (t + 1 < N)", "t + 1 < N")),
        ),
        Misconception(
            "nothing decays",
            "a token's key is multiplied by the decays of the tokens after it in the chunk",
            slip(STATE, ("keys * decay[:, None]", "keys")),
        ),
        Misconception(
            "the decay is the exponential of a difference of two sums",
            "-inf - (-inf) is NaN, and a difference of two large sums has lost its digits: sum what comes after the "
            "token directly",
            slip(
                STATE,
                OWN,
                ("tl.exp(tl.cumsum(later, 0, reverse=True))", "tl.exp(tl.sum(later, 0) - tl.cumsum(later, 0))"),
            ),
        ),
        Misconception(
            "the state is values × keys",
            "rows are keys here: tl.dot(tl.trans(keys), values), with D numbers from one row to the next",
            slip(
                STATE,
                ("tl.dot(tl.trans(keys * decay[:, None]), values", "tl.dot(tl.trans(values), keys * decay[:, None]"),
                ("k[:, None] * D + v[None, :]\n", "v[:, None] * D_STATE + k[None, :]\n"),
                ("(k < D_STATE)[:, None] & (v < D)[None, :])\n", "(v < D)[:, None] & (k < D_STATE)[None, :])\n"),
            ),
        ),
        Misconception(
            "the loads mask tokens but not features",
            "a tile is wider than d_state and d, and the excess is the next token's: mask k < D_STATE and v < D too",
            slip(
                STATE,
                (" & (k < D_STATE)[None, :]\n    in_x", "\n    in_x"),
                (" & (v < D)[None, :]\n    keys", "\n    keys"),
            ),
        ),
        Misconception(
            "the loads mask features but not tokens",
            "the last chunk is not full, and what comes after its tokens belongs to the next head: mask t < N too",
            slip(
                STATE,
                ("(t < N)[:, None] & (k < D_STATE)[None, :]", "(k < D_STATE)[None, :]"),
                ("(t < N)[:, None] & (v < D)[None, :]", "(v < D)[None, :]"),
            ),
        ),
        Misconception(
            "the store has no mask",
            "a tile is larger than the state: the excess lands in the next row or in the next chunk's state",
            slip(STATE, (", mask=(k < D_STATE)[:, None] & (v < D)[None, :])", ")")),
        ),
        Misconception(
            "`other` is not given",
            "what a masked load leaves out is undefined on a GPU (here NaN), and 0 · NaN is NaN: pass other=0.0",
            slip(STATE, (", other=0.0", "")),
        ),
        Misconception(
            "head and chunk are exchanged",
            "the grid is (heads, chunks): tl.program_id(0) is the head, tl.program_id(1) the chunk",
            slip(
                STATE,
                ("head = tl.program_id(0)", "head = tl.program_id(1)"),
                ("chunk = tl.program_id(1)", "chunk = tl.program_id(0)"),
            ),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "Row t of a head of x begins at x + (head * N + t) * D. A tile of addresses is rows[:, None] + "
            "columns[None, :], and its mask combines one over the rows with one over the columns.",
        ),
        (
            "The first chunks are wrong in every entry",
            "The decay from token t to the end of its chunk is exp(log_a[t+1] + … + log_a[last]). Load log_a one place "
            "further on, mask what belongs to the next chunk or is beyond N, and sum from the end.",
        ),
        (
            "The numbers are right, but a GPU would not take it",
            "The message quotes the compiler. Products of tiles go through tl.dot, on sides of at least 16, with "
            'input_precision="ieee" for float32.',
        ),
    ),
)

EXERCISES = (MASKED_LOAD, CHUNK_STATE)
