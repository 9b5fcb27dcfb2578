"""The exercise on RWKV-4's weighted mean, whose exponentials overflow if computed as written."""

import numpy as np

from lecture17.reference import wkv4

from ..exercise import Exercise, Inputs, Misconception


def draw_wkv(rng: np.random.Generator) -> Inputs:
    """Keys of every size: moderate, all huge, rising through the whole range of exp, or falling through it."""
    N, d = int(rng.integers(2, 30)), int(rng.integers(1, 5))
    w = -np.exp(rng.normal(-1.0, 1.0, size=d))
    if rng.random() < 0.5:
        w[rng.integers(d)] = -np.inf
    k = 2 * rng.normal(size=(N, d))
    k += rng.choice([0.0, 0.0, -900.0, 900.0])
    if rng.random() < 0.5:
        k += np.linspace(-1000, 1000, N)[:, None] * rng.choice([-1, 1])
    return {"w": w, "u": rng.normal(size=d), "k": k, "v": rng.normal(size=(N, d))}


def weighted_means(w: np.ndarray, u: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.einsum("cij,jc->ic", wkv4.matrix(w, u, k, v), v)


def wkv_as_it_stands(w: np.ndarray, u: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The formula as written, with no care for large exponents."""
    above, below, y = np.zeros_like(u), np.zeros_like(u), np.empty_like(v)
    for t in range(len(v)):
        now = np.exp(k[t] + u)
        y[t] = (above + now * v[t]) / (below + now)
        above, below = np.exp(w) * above + np.exp(k[t]) * v[t], np.exp(w) * below + np.exp(k[t])
    return y


def largest_key_of_all(w: np.ndarray, u: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return wkv_as_it_stands(w, u, k - k.max(axis=0), v)


def old_sums_keep_their_scale(w: np.ndarray, u: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The running maximum changes, but p and q, which were divided by the old one, are not rescaled."""
    p, q, o, y = np.zeros_like(u), np.zeros_like(u), np.full_like(u, -np.inf), np.empty_like(v)
    for t in range(len(v)):
        m = np.maximum(o, u + k[t])
        now = np.exp(u + k[t] - m)
        y[t] = (np.exp(o - m) * p + now * v[t]) / (np.exp(o - m) * q + now)
        o = np.maximum(w + o, k[t])
        p, q = p + np.exp(k[t] - o) * v[t], q + np.exp(k[t] - o)
    return y


def by_running_maximum(w: np.ndarray, u: np.ndarray, k: np.ndarray, v: np.ndarray, *, slip: str) -> np.ndarray:
    """The right way, with one slip."""
    p, q, o = np.zeros_like(u), np.zeros_like(u), np.full_like(u, 0.0 if slip == "starts at 0" else -np.inf)
    y = np.empty_like(v)
    for t in range(len(v)):
        m = np.maximum(o, u + k[t])
        old, now = np.exp(o - m), np.exp(u + k[t] - m)
        y[t] = old * p + now * v[t]
        if slip != "not divided":
            y[t] /= old * q + now
        if slip != "one maximum":
            m = np.maximum(w + o, k[t])
        old, now = np.exp(w + o - m), np.exp(k[t] - m)
        p, q, o = old * p + now * v[t], old * q + now, np.maximum(w + o, k[t])
    return y


WKV = Exercise(
    id="01_tour-wkv",
    points=4,
    unfilled="Go through the tokens with the sums p and q, and the exponent o factored out of both; return y.",
    draw=draw_wkv,
    returns=("y",),
    verified="keys from -1900 to 1900 and decays of 0 included",
    expected=weighted_means,
    misconceptions=(
        Misconception(
            "the exponentials are computed as written",
            "exp(800) is inf and exp(-800) is 0: keep the sums divided by e^o, with o the largest exponent so far",
            wkv_as_it_stands,
        ),
        Misconception(
            "the largest key of the whole sequence is factored out",
            "early tokens may lie 2000 below it and all underflow: factor out the largest exponent *so far*",
            largest_key_of_all,
        ),
        Misconception(
            "p and q keep their scale when the maximum moves",
            "when o becomes m, multiply the old sums by e^(w + o - m), because they were divided by e^o",
            old_sums_keep_their_scale,
        ),
        Misconception(
            "no token gets the bonus, or every token keeps it forever",
            "a bonus that all tokens share cancels: read with e^(u + k_t), but store e^(k_t)",
            lambda w, u, k, v: weighted_means(w, np.zeros_like(u), k, v),
        ),
        Misconception(
            "nothing fades",
            "each step multiplies both sums by e^w, that is, adds w to the exponent o",
            lambda w, u, k, v: weighted_means(np.zeros_like(w), u, k, v),
        ),
        Misconception(
            "the past decays before it is read",
            "the token just before the current one has not faded yet: read first, then multiply by e^w",
            lambda w, u, k, v: weighted_means(w, u - np.maximum(w, -1e6), k, v),
        ),
        Misconception(
            "reading and updating share one maximum",
            "the sums are divided by e^m for the m that becomes o: take max(w + o, k_t) anew before the update",
            lambda *inputs: by_running_maximum(*inputs, slip="one maximum"),
        ),
        Misconception(
            "nothing is divided",
            "y is a mean: the sum with the values over the sum without them",
            lambda *inputs: by_running_maximum(*inputs, slip="not divided"),
        ),
        Misconception(
            "the exponent starts at 0",
            "o = 0 claims that the empty sums hold e^0: start from -inf, or small keys underflow",
            lambda *inputs: by_running_maximum(*inputs, slip="starts at 0"),
        ),
    ),
    hints=(
        (
            "I do not know where to start",
            "Start with p = q = 0 and o = -inf. The sums above and below the line are e^o·p and e^o·q.",
        ),
        (
            "I get NaN or inf",
            "Divide both sums by e^m, with m the larger of the two exponents. Is every exponent now at most 0?",
        ),
        (
            "The first token is right, the others are not",
            "Reading and updating are different sums, one with u, one with w: each needs its own maximum.",
        ),
    ),
)
