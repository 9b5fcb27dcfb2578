"""Exercise of 05b_long_range."""

import math
from fractions import Fraction
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


def bound(layers: int, heads: int, d_k: int, d_v: int, bits: int, alphabet: int, N: int) -> tuple[int, float]:
    """By counting states and texts in exact integers: the longest N with alphabet^N ≤ 2^bits in all."""
    total = layers * heads * d_k * d_v * bits
    low, high = 0, total + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if alphabet**middle <= 1 << total else (low, middle)
    return low, min(0.0, float(total - N * math.log2(alphabet)))


def wrong_size(size: Any, of: Any = math.log2) -> Any:
    """The answer with another number of bits, or with another information of a token."""

    def answer(layers: int, heads: int, d_k: int, d_v: int, bits: int, alphabet: int, N: int) -> tuple[int, float]:
        total = size(layers, heads, d_k, d_v, bits)
        return math.floor(total / of(alphabet)), min(0.0, total - N * of(alphabet))

    return answer


def everything(layers: int, heads: int, d_k: int, d_v: int, bits: int) -> int:
    return layers * heads * d_k * d_v * bits


def positive_share(*inputs: int) -> tuple[int, float]:
    longest, _ = bound(*inputs)
    return longest, everything(*inputs[:5]) - inputs[6] * math.log2(inputs[5])


def plain_share(*inputs: int) -> tuple[int, float]:
    longest, share = bound(*inputs)
    return longest, 2.0**share


def linear_share(*inputs: int) -> tuple[int, float]:
    longest, _ = bound(*inputs)
    return longest, min(0.0, math.log2(Fraction(max(longest, 1), inputs[6])))


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
            "the share is more than all texts",
            "where every text can be copied the share is 1 and its logarithm 0: take the smaller of 0 and yours",
            positive_share,
            of=("log2_share",),
        ),
        Misconception(
            "the share itself is returned",
            "return its logarithm to the base 2: the share of long texts is too small for a float",
            plain_share,
            of=("log2_share",),
        ),
        Misconception(
            "the share is that of the tokens",
            "of alphabet^N texts at most 2^bits can be told apart: the share of texts is 2^(bits − N·log2(alphabet))",
            linear_share,
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
