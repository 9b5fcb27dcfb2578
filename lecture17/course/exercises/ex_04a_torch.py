"""Exercises of 04a_torch: answers take and return tensors, and are compared with the NumPy reference in float64."""

from functools import partial
from typing import Any

import numpy as np

from lecture17.reference import ssd

from ..exercise import Exercise, Function, Inputs, Misconception

# --- batched-ssd --------------------------------------------------------------------------------------------------


def draw_batch(rng: np.random.Generator) -> Inputs:
    """Fewer groups than heads, mild and strong decays, and sometimes decays that are exactly 0."""
    batch, groups, per_group = (int(rng.integers(2, 4)) for _ in range(3))
    N, d_state, d = int(rng.integers(6, 24)), int(rng.integers(2, 5)), int(rng.integers(5, 8))
    heads = groups * per_group
    log_a = rng.uniform(-0.4, 0.0, (batch, N, heads))
    kind = rng.integers(3)
    if kind == 1:
        log_a[:, :, 0] = rng.uniform(-400, -300, (batch, N))
    if kind == 2:
        log_a[rng.integers(batch), rng.integers(N), rng.integers(heads)] = -np.inf
    return {
        "x": rng.normal(size=(batch, N, heads, d)),
        "log_a": log_a,
        "B": rng.normal(size=(batch, N, groups, d_state)),
        "C": rng.normal(size=(batch, N, groups, d_state)),
    }


def run_batched(answer: Function, inputs: Inputs) -> Any:
    from . import _torch

    return _torch.run_batched(answer, inputs)


def batched_with_gradients(x: np.ndarray, log_a: np.ndarray, B: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, ...]:
    """Head by head from the reference; gradients through the recurrence."""
    from . import _torch

    y, per_group = np.empty_like(x), x.shape[2] // B.shape[2]
    for b, h in np.ndindex(x.shape[0], x.shape[2]):
        g = h // per_group
        y[b, :, h], _ = ssd.recurrent(x[b, :, h], log_a[b, :, h], B[b, :, g], C[b, :, g])
    return y, *_torch.gradients_of_recurrence({"x": x, "log_a": log_a, "B": B, "C": C})


def batched_slip(slip: str) -> Function:
    def wrong(*args: Any) -> Any:
        from . import _torch

        return partial(_torch.batched, slip=slip)(*args)

    return wrong


def head_of(inputs: Inputs, index: tuple[int, ...]) -> str:
    return f"sequence {index[0]}, token {index[1]}, head {index[2]}"


BATCHED_SSD = Exercise(
    id="04a_torch-batched-ssd",
    points=4,
    unfilled="Give each head its group's B and C, put heads before time, then (L ∘ C Bᵀ) x for all heads at once.",
    draw=draw_batch,
    returns=("y", "dx", "dlog_a", "dB", "dC"),
    verified="gradients, groups and decays of exactly 0 included",
    expected=batched_with_gradients,
    where=head_of,
    run=run_batched,
    misconceptions=(
        Misconception(
            "heads are dealt out to the groups in turn, h % groups",
            "neighboring heads share a group, h // (heads // groups): repeat_interleave, not repeat",
            batched_slip("in turn"),
        ),
        Misconception(
            "every head uses the first group",
            "B[:, :, :1] broadcasts over all heads; give each head its own group with repeat_interleave",
            batched_slip("first group"),
        ),
        Misconception(
            "heads attend to heads, instead of tokens to tokens",
            "`@` and sums along the last axes see (heads, d): put heads before time first, with transpose(1, 2)",
            batched_slip("last two axes"),
        ),
        Misconception(
            "the decay is missing",
            "this is tril(C Bᵀ) x, plain linear attention; multiply the scores by L entry by entry",
            batched_slip("no decay"),
        ),
        Misconception(
            "the mask is off by one",
            "L[i, j] is the product of the decays j+1 to i: token j's own decay acts before it writes",
            batched_slip("off by one"),
        ),
        Misconception(
            "B and C have changed places",
            "C reads (rows, outputs) and B writes (columns, inputs): C @ B.mT",
            batched_slip("swapped"),
        ),
        Misconception(
            "scores are divided by the root of d_state",
            "that scale belongs to attention; the formula here has none",
            batched_slip("scaled"),
        ),
        Misconception(
            "L is a difference of cumulative sums, masked before exp",
            "with a decay of 0 it is -inf - (-inf) = NaN: sum each segment by itself, as segsum does",
            batched_slip("differences"),
        ),
        Misconception(
            "the mask comes after exp",
            "above the diagonal exp overflows, and the backward pass makes 0 · inf = NaN: fill with -inf, then exp",
            batched_slip("masked after exp"),
        ),
        Misconception(
            "a Python loop goes over the heads",
            "one call multiplies the matrices of all leading axes: (batch, heads, N, N) @ (batch, heads, N, d)",
            batched_slip("loop"),
        ),
        Misconception(
            "y is cut off from its inputs",
            "no gradient flows through what leaves torch or is detached",
            batched_slip("detached"),
        ),
        Misconception(
            "there is no mask",
            "L is 0 above the diagonal, and holds the decays below: multiply the scores by it",
            batched_slip("no mask"),
        ),
        Misconception(
            "the decays are cut off from the gradient",
            "build L with torch from log_a itself, with no .detach(), .numpy() or torch.tensor()",
            batched_slip("decay detached"),
        ),
    ),
    hints=(
        (
            "I get a shape error between heads and groups",
            "B.repeat_interleave(heads // groups, dim=2) has one entry for each head, in the right order.",
        ),
        (
            "The shape is right and every number is wrong",
            "Tokens must be the second-to-last axis: x.transpose(1, 2) is (batch, heads, N, d). Transpose y back, too.",
        ),
        (
            "y is right and a gradient is NaN",
            "Where does your code subtract -inf from -inf, or take exp of a large positive number? A mask that comes "
            "later hides that in y, not in the gradient. Sum each segment by itself, and mask before exp.",
        ),
    ),
)

# --- decode-cache -------------------------------------------------------------------------------------------------


def draw_decoding(rng: np.random.Generator) -> Inputs:
    batch, N, heads = (int(n) for n in rng.integers((2, 5, 2), (4, 12, 4)))
    width, d_state, d = (int(n) for n in rng.integers((2, 2, 5), (5, 5, 8)))
    return {
        "u": rng.normal(size=(batch, N, heads, d)),
        "log_a": np.log(rng.uniform(0.2, 0.9, (batch, N, heads))),
        "B": rng.normal(size=(batch, N, heads, d_state)),
        "C": rng.normal(size=(batch, N, heads, d_state)),
        "weight": rng.normal(size=(width, heads, d)),
        "window": rng.normal(size=(batch, width - 1, heads, d)),
        "state": rng.normal(size=(batch, heads, d_state, d)),
    }


def run_decoding(answer: Function, inputs: Inputs) -> Any:
    from . import _torch

    return _torch.run_decoding(answer, inputs)


def whole_sequence(
    u: np.ndarray,
    log_a: np.ndarray,
    B: np.ndarray,
    C: np.ndarray,
    weight: np.ndarray,
    window: np.ndarray,
    state: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """The convolution of all tokens at once, then the reference head by head."""
    width, N = len(weight), u.shape[1]
    tokens = np.concatenate([window, u], axis=1)
    x = np.sum([weight[i] * tokens[:, i : i + N] for i in range(width)], axis=0)
    y, after = np.empty_like(u), np.empty_like(state)
    for b, h in np.ndindex(u.shape[0], u.shape[2]):
        y[b, :, h], after[b, h] = ssd.recurrent(x[b, :, h], log_a[b, :, h], B[b, :, h], C[b, :, h], state[b, h])
    return y, tokens[:, N:], after, y[:, -1]


def decoding_slip(slip: str) -> Function:
    def wrong(*args: Any) -> Any:
        from . import _torch

        return partial(_torch.decoded, slip=slip)(*args)

    return wrong


DECODE_CACHE = Exercise(
    id="04a_torch-decode-cache",
    points=4,
    unfilled="Convolve window and token, update the state, read from it; return y_t and the new (window, state).",
    draw=draw_decoding,
    returns=("y", "window", "state", "the last y_t, decoded again from the same cache,"),
    verified="and a second step from an old cache gives the same token",
    expected=whole_sequence,
    where=head_of,
    run=run_decoding,
    misconceptions=(
        Misconception(
            "the window does not move on",
            "drop its oldest token and keep the new one: tokens[:, 1:]",
            decoding_slip("window does not move on"),
        ),
        Misconception(
            "the window keeps what came out of the convolution",
            "the next convolution needs what went in: store u_t, not x_t",
            decoding_slip("convolved"),
        ),
        Misconception(
            "the token itself is not convolved",
            "the convolution sees width tokens: the width - 1 in the window, and u_t, with weight[-1]",
            decoding_slip("without the token"),
        ),
        Misconception(
            "the weights are in the wrong order",
            "weight[-1] is for the token itself and weight[0] for the oldest in the window, as in nn.Conv1d",
            decoding_slip("flipped"),
        ),
        Misconception(
            "the old state is returned",
            "pass on the state after the token: return y_t, (window, S) with the new S",
            decoding_slip("old state"),
        ),
        Misconception(
            "the cache is changed in place",
            "whoever kept the old cache to decode again from there would find it changed: make new tensors",
            decoding_slip("in place"),
            also=(decoding_slip("window in place"),),
        ),
        Misconception(
            "the state does not decay",
            "multiply the old state by exp(log_a_t), one number for each head, before you add",
            decoding_slip("no decay"),
        ),
        Misconception(
            "the decay also acts on the new token",
            "decay the old state only, then add B_t x_tᵀ",
            decoding_slip("decay after"),
        ),
        Misconception(
            "the state is read before the token is written",
            "a token sees itself: first S = a S + B_t x_tᵀ, then y_t = C_t S",
            decoding_slip("read first"),
            also=(decoding_slip("read old"),),
        ),
        Misconception(
            "the window grows",
            "it holds the last width - 1 tokens: drop the oldest, tokens[:, 1:]",
            decoding_slip("grows"),
        ),
        Misconception(
            "nothing is convolved",
            "x_t is the sum of the width newest tokens, each times its row of weight",
            decoding_slip("not convolved"),
        ),
        Misconception(
            "the log is used as the decay",
            "the old state is multiplied by log_a_t.exp()",
            decoding_slip("no exp"),
        ),
        Misconception(
            "the newest token stands first in the window",
            "oldest first: join the window and then u_t",
            decoding_slip("newest first"),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "The convolution needs width tokens: those in the window, then u_t. Join them along time. `weight` has one "
            "entry for each of their numbers, and x_t is a sum over time.",
        ),
        (
            "I get a shape error at the state",
            "The decay is log_a_t.exp()[..., None, None]. B_t x_tᵀ is B_t[..., :, None] * x_t[..., None, :], with the "
            "shape of the state.",
        ),
        (
            "The first token is right and the next is not",
            "Look at what you pass on: the last width - 1 tokens that went *into* the convolution, and the state "
            "*after* the token.",
        ),
    ),
)

EXERCISES = (BATCHED_SSD, DECODE_CACHE)
