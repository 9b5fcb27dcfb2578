"""Answers to the exercise of 05b."""

import math

import numpy as np

from . import right, wrong

COPYING = "05b_long_range-copying-bound"


@right(COPYING)
def by_bisection(layers, heads, d_k, d_v, bits, alphabet, N):
    memory = layers * heads * d_k * d_v * bits
    low, high = 0, memory
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle * math.log2(alphabet) <= memory else (low, middle - 1)
    return [low, min(0.0, memory - N * math.log2(alphabet))]


@right(COPYING)
def by_whole_bits(layers, heads, d_k, d_v, bits, alphabet, N):
    memory = np.prod([layers, heads, d_k, d_v, bits])
    per_token = np.log(alphabet) / np.log(2)
    n = int(memory / per_token)
    while alphabet ** (n + 1) <= 2 ** int(memory):
        n += 1
    while alphabet**n > 2 ** int(memory):
        n -= 1
    share = memory - N * per_token
    return n, share if n < N else 0


@right(COPYING)
def by_division_of_logs(layers, heads, d_k, d_v, bits, alphabet, N):
    memory = layers * heads * d_k * d_v * bits
    return memory // np.log2(alphabet), np.clip(memory - N * np.log2(alphabet), None, 0)


def _bound(memory, token, N):
    return math.floor(memory / token), min(0.0, memory - N * token)


@wrong(COPYING, "numbers are counted instead of bits")
def numbers_instead_of_bits(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * d_v, math.log2(alphabet), N)


@wrong(COPYING, "bits and bytes are mixed up")
def bits_taken_for_bytes(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(8 * layers * heads * d_k * d_v * bits, math.log2(alphabet), N)


@wrong(COPYING, "bits and bytes are mixed up")
def memory_in_bytes(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * d_v * bits / 8, math.log2(alphabet), N)


@wrong(COPYING, "only one layer is counted")
def one_layer_only(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(heads * d_k * d_v * bits, math.log2(alphabet), N)


@wrong(COPYING, "only one head is counted")
def one_head_only(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * d_k * d_v * bits, math.log2(alphabet), N)


@wrong(COPYING, "the state is counted as a vector")
def a_key_and_a_value(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * (d_k + d_v) * bits, math.log2(alphabet), N)


@wrong(COPYING, "the state is taken to be square")
def square_states(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * d_k * bits, math.log2(alphabet), N)


@wrong(COPYING, "only one side of the state is counted")
def rows_only(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * bits, math.log2(alphabet), N)


@wrong(COPYING, "a token is counted with `alphabet` bits")
def alphabet_bits_a_token(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * d_v * bits, alphabet, N)


@wrong(COPYING, "the natural logarithm is taken")
def natural_logarithm(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * d_v * bits, math.log(alphabet), N)


@wrong(COPYING, "every token is rounded up to whole bits")
def whole_bits_for_a_token(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * d_v * bits, math.ceil(math.log2(alphabet)), N)


@wrong(COPYING, "a token is counted as one bit")
def one_bit_a_token(layers, heads, d_k, d_v, bits, alphabet, N):
    return _bound(layers * heads * d_k * d_v * bits, 1, N)


@wrong(COPYING, "the longest text is not rounded down")
def rounded_up(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.ceil(memory / token), min(0.0, memory - N * token)


@wrong(COPYING, "the longest text is not rounded down")
def not_rounded_down(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return memory / token, min(0.0, memory - N * token)


@wrong(COPYING, "the longest text is not rounded down")
def rounded_to_the_nearest(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return round(memory / token), min(0.0, memory - N * token)


@wrong(COPYING, "the longest text is one token too short")
def one_less(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.floor(memory / token) - 1, min(0.0, memory - N * token)


@wrong(COPYING, "the share is more than all texts")
def share_above_one(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.floor(memory / token), memory - N * token


@wrong(COPYING, "the logarithm of the share has the wrong sign")
def share_with_the_wrong_sign(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.floor(memory / token), max(0.0, N * token - memory)


@wrong(COPYING, "the share itself is returned")
def share_itself(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.floor(memory / token), 2.0 ** min(0.0, memory - N * token)


@wrong(COPYING, "the share is that of the tokens")
def share_of_the_text(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    longest = math.floor(memory / token)
    return longest, min(0.0, math.log2(longest / N) if longest else -math.inf)


@wrong(COPYING, "the share is counted in tokens, or to another base")
def share_by_natural_logarithm(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.floor(memory / token), min(0.0, (memory - N * token) * math.log(2))


@wrong(COPYING, "the share is counted in tokens, or to another base")
def share_in_tokens(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.floor(memory / token), min(0.0, memory / token - N)


@wrong(COPYING, "the share is that of the longest text, already rounded")
def share_by_logs_of_the_longest(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    longest = math.floor(memory / token)
    return longest, min(0.0, (longest - N) * token)


@wrong(COPYING, "the share is that of the tokens")
def ratio_of_bits(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, math.log2(alphabet)
    return math.floor(memory / token), min(0.0, math.log2(memory / (N * token)))


@wrong(COPYING, "numbers of texts and of contents are computed before their logarithms")
def share_by_numbers_that_overflow(layers, heads, d_k, d_v, bits, alphabet, N):
    memory, token = layers * heads * d_k * d_v * bits, np.log2(alphabet)
    with np.errstate(all="ignore"):
        share = np.float64(2.0) ** memory / np.float64(alphabet) ** N
    return math.floor(memory / token), min(0.0, float(np.log2(share)))
