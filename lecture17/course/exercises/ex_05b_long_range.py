"""Exercise of 05b_long_range."""

import math
from functools import cache
from typing import Any

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- copying-bound ------------------------------------------------------------------------------------------------


def draw_model(rng: np.random.Generator) -> Inputs:
    """A model with states, an alphabet whose size is no power of two, and a text that may be too long for them."""
    layers, heads = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    d_k, d_v = (int(n) for n in rng.choice([4, 8, 16, 24, 32], size=2, replace=False))
    bits, alphabet = int(rng.choice([8, 16, 32])), int(rng.choice([3, 5, 7, 11, 26, 100, 1000, 32_000, 50_257]))
    most = layers * heads * d_k * d_v * bits / math.log2(alphabet)
    return {
        "layers": layers,
        "heads": heads,
        "d_k": d_k,
        "d_v": d_v,
        "bits": bits,
        "alphabet": alphabet,
        "N": max(1, int(most * rng.uniform(0.5, 2))),
    }


@cache  # the integers have a million bits
def bound(layers: int, heads: int, d_k: int, d_v: int, bits: int, alphabet: int, N: int) -> tuple[int, float]:
    """By counting states and texts in exact integers: the longest N with alphabet^N ≤ 2^bits in all."""
    total = layers * heads * d_k * d_v * bits
    longest = int(total / math.log2(alphabet)) + 2
    texts = alphabet**longest
    while texts > 1 << total:
        longest, texts = longest - 1, texts // alphabet
    return longest, min(0.0, float(total - N * math.log2(alphabet)))


def wrong_size(size: Any, of: Any = math.log2) -> Any:
    """The answer with another number of bits, or with another information of a token."""

    def answer(layers: int, heads: int, d_k: int, d_v: int, bits: int, alphabet: int, N: int) -> tuple[int, float]:
        total = size(layers, heads, d_k, d_v, bits)
        return math.floor(total / of(alphabet)), min(0.0, total - N * of(alphabet))

    return answer


def everything(layers: int, heads: int, d_k: int, d_v: int, bits: int) -> int:
    return layers * heads * d_k * d_v * bits


def wrong_longest(rounded: Any) -> Any:
    """The answer with another rounding of the longest text."""
    return lambda *inputs: (rounded(everything(*inputs[:5]) / math.log2(inputs[5])), bound(*inputs)[1])


def wrong_share(share: Any) -> Any:
    """The answer with another share, computed from the bits of the states, those of a token, and N."""
    return lambda *inputs: (bound(*inputs)[0], share(everything(*inputs[:5]), math.log2(inputs[5]), inputs[6]))


def share_in_floats(*inputs: int) -> tuple[int, float]:
    share = np.float64(2.0) ** everything(*inputs[:5]) / np.float64(inputs[5]) ** inputs[6]
    return bound(*inputs)[0], min(0.0, float(np.log2(share)))


COPYING_BOUND = Exercise(
    id="05b_long_range-copying-bound",
    points=3,
    unfilled="Count the bits of the states and of the text; return the longest text, and log2 of the share.",
    draw=draw_model,
    returns=("longest", "log2_share"),
    verified="with texts that fit and texts that do not",
    expected=bound,
    misconceptions=(
        Misconception(
            "a token is counted as one bit",
            "one of `alphabet` tokens carries log2(alphabet) bits",
            wrong_size(everything, lambda alphabet: 1.0),
        ),
        Misconception(
            "the natural logarithm is taken",
            "the states are counted in bits, so a token must be, too: log to the base 2",
            wrong_size(everything, math.log),
        ),
        Misconception(
            "numbers are counted instead of bits",
            "each number of a state can take 2^bits values: multiply by `bits`",
            wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * d_k * d_v),
        ),
        Misconception(
            "the state is counted as a vector",
            "the state of a head is a matrix, keys × values: d_k·d_v numbers",
            wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * (d_k + d_v) * bits),
        ),
        Misconception(
            "only one layer is counted",
            "every layer carries its own state from the text to the copy",
            wrong_size(lambda layers, heads, d_k, d_v, bits: heads * d_k * d_v * bits),
        ),
        Misconception(
            "only one head is counted",
            "every head of every layer carries its own state from the text to the copy",
            wrong_size(lambda layers, heads, d_k, d_v, bits: layers * d_k * d_v * bits),
        ),
        Misconception(
            "only one side of the state is counted",
            "the state of a head is a matrix, keys × values: d_k·d_v numbers",
            wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * d_k * bits),
            also=(wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * d_v * bits),),
        ),
        Misconception(
            "the state is taken to be square",
            "it has d_k rows and d_v columns: d_k·d_v numbers",
            wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * d_k * d_k * bits),
            also=(wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * d_v * d_v * bits),),
        ),
        Misconception(
            "bits and bytes are mixed up",
            "`bits` and log2(alphabet) are both bits: neither multiply nor divide by 8",
            wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * d_k * d_v * bits / 8),
            also=(wrong_size(lambda layers, heads, d_k, d_v, bits: layers * heads * d_k * d_v * bits * 8),),
        ),
        Misconception(
            "a token is counted with `alphabet` bits",
            "one of `alphabet` tokens carries log2(alphabet) bits",
            wrong_size(everything, float),
        ),
        Misconception(
            "every token is rounded up to whole bits",
            "a text need not be stored token by token: count its log2(alphabet) bits a token as they are",
            wrong_size(everything, lambda alphabet: math.ceil(math.log2(alphabet))),
        ),
        Misconception(
            "the longest text is not rounded down",
            "the longest N has N·log2(alphabet) ≤ bits: a whole number, rounded down",
            wrong_longest(float),
            of=("longest",),
            also=(wrong_longest(math.ceil), wrong_longest(round)),
        ),
        Misconception(
            "the longest text is one token too short",
            "the bound is met where N·log2(alphabet) ≤ bits: round down, and subtract nothing",
            wrong_longest(lambda n: math.floor(n) - 1),
            of=("longest",),
        ),
        Misconception(
            "the logarithm of the share has the wrong sign",
            "a share is at most 1, so its logarithm is at most 0: bits − N·log2(alphabet), where that is negative",
            wrong_share(lambda total, token, N: max(0.0, N * token - total)),
            of=("log2_share",),
        ),
        Misconception(
            "the share is counted in tokens, or to another base",
            "states and texts are counted in bits, log to the base 2: bits − N·log2(alphabet), not divided by anything",
            wrong_share(lambda total, token, N: min(0.0, total / token - N)),
            of=("log2_share",),
            also=(wrong_share(lambda total, token, N: min(0.0, (total - N * token) * math.log(2))),),
        ),
        Misconception(
            "the share is that of the longest text, already rounded",
            "all 2^bits contents count, not alphabet^longest of them: bits − N·log2(alphabet)",
            wrong_share(lambda total, token, N: min(0.0, (total // token - N) * token)),
            of=("log2_share",),
        ),
        Misconception(
            "numbers of texts and of contents are computed before their logarithms",
            "2.0**bits is infinite in floats: subtract the logarithms, bits − N·log2(alphabet)",
            share_in_floats,
            of=("log2_share",),
        ),
        Misconception(
            "the share is more than all texts",
            "where every text can be copied the share is 1 and its logarithm 0: take the smaller of 0 and yours",
            wrong_share(lambda total, token, N: total - N * token),
            of=("log2_share",),
        ),
        Misconception(
            "the share itself is returned",
            "return its logarithm to the base 2: the share of long texts is too small for a float",
            wrong_share(lambda total, token, N: 2.0 ** min(0.0, total - N * token)),
            of=("log2_share",),
        ),
        Misconception(
            "the share is that of the tokens",
            "of alphabet^N texts at most 2^bits can be told apart: the share of texts is 2^(bits − N·log2(alphabet))",
            wrong_share(lambda total, token, N: min(0.0, math.log2(max(total // token, 1) / N))),
            also=(wrong_share(lambda total, token, N: min(0.0, math.log2(total / (token * N)))),),
            of=("log2_share",),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "How many different texts of N tokens are there? How many different contents can all states have together?",
        ),
        (
            "My longest text is off by one",
            "The longest N has N·log2(alphabet) ≤ bits: round down.",
        ),
        (
            "I get an OverflowError",
            "Do not compute alphabet**N: its logarithm to the base 2 is N·log2(alphabet).",
        ),
    ),
)

EXERCISES = (COPYING_BOUND,)
