"""Exercise of 04d_many_machines."""

from typing import Any

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- what-travels -------------------------------------------------------------------------------------------------


def draw_segment(rng: np.random.Generator) -> Inputs:
    """A segment of tokens, once for SSD and once for the delta rule, with keys of different lengths."""
    N, r = int(rng.integers(3, 20)), int(rng.integers(2, 6))
    d = r + int(rng.integers(1, 4))
    keys, lengths = rng.normal(size=(N, r)), rng.uniform(0.7, 1.1, N)
    kept = rng.uniform(0.4, 0.9, N) * rng.choice([-1, 1], N)  # along a key: near 0 the product would be all rounding
    return {
        "log_a": -rng.uniform(0.05, 0.6, N),
        "B": rng.normal(size=(N, r)),
        "x": rng.normal(size=(N, d)),
        "K": keys * (lengths / np.linalg.norm(keys, axis=1))[:, None],
        "V": rng.normal(size=(N, d)),
        "beta": (1 - kept) / lengths**2,
    }


def by_recurrence(
    log_a: np.ndarray, B: np.ndarray, x: np.ndarray, K: np.ndarray, V: np.ndarray, beta: np.ndarray
) -> tuple[Any, ...]:
    """Both maps read off from what the recurrences make of the states 0 and I."""

    def run(S: np.ndarray, step: Any) -> np.ndarray:
        for t in range(len(log_a)):
            S = step(S, t)
        return S

    def ssd(S: np.ndarray, t: int) -> np.ndarray:
        return np.exp(log_a[t]) * S + np.outer(B[t], x[t])

    def delta(S: np.ndarray, t: int) -> np.ndarray:
        return S - beta[t] * np.outer(K[t], K[t] @ S) + beta[t] * np.outer(K[t], V[t])

    r, d = B.shape[1], x.shape[1]
    U, W = run(np.zeros((r, d)), ssd), run(np.zeros((r, d)), delta)
    one = np.zeros((r, d))
    one[0, 0] = 1.0
    units = np.eye(r)
    columns = [run(np.outer(unit, np.eye(d)[0]), delta) - W for unit in units]
    return (run(one, ssd) - U)[0, 0], U, np.stack([column[:, 0] for column in columns], axis=1), W


def spoilt(**changes: Any) -> Any:
    """The right answer with some outputs replaced: each by a function of the inputs."""

    def answer(*inputs: np.ndarray) -> tuple[Any, ...]:
        right = dict(zip(("a", "U", "A", "W"), by_recurrence(*inputs), strict=True))
        return tuple(changes[name](*inputs) if name in changes else value for name, value in right.items())

    return answer


def product(K: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The transitions of the delta rule, the first one on the left."""
    A = np.eye(K.shape[1])
    for k, b in zip(K, beta, strict=True):
        A = A @ (np.eye(len(k)) - b * np.outer(k, k))
    return A


def unit(K: np.ndarray) -> np.ndarray:
    return K / np.linalg.norm(K, axis=1, keepdims=True)


def last_state(K: np.ndarray, V: np.ndarray, write: np.ndarray, erase: np.ndarray, after: bool = False) -> np.ndarray:
    """The delta rule from zero, its β of writing and of erasing apart; `after`: it erases what it has just written."""
    W = np.zeros((K.shape[1], V.shape[1]))
    for k, v, w, e in zip(K, V, write, erase, strict=True):
        written = w * np.outer(k, v)
        W = W + after * written
        W = W - e * np.outer(k, k @ W) + (not after) * written
    return W


def undecayed(log_a: np.ndarray, B: np.ndarray, x: np.ndarray, *_: np.ndarray) -> np.ndarray:
    return B.T @ x


def decayed_by_age(log_a: np.ndarray, B: np.ndarray, x: np.ndarray, *_: np.ndarray) -> np.ndarray:
    """Each token decayed by its own decay as well."""
    left = np.exp(np.cumsum(log_a[::-1])[::-1])
    return (B * left[:, None]).T @ x


WHAT_TRAVELS = Exercise(
    id="04d_many_machines-what-travels",
    points=4,
    unfilled="Return a and U with S → a S + U for SSD, and A and W with S → A S + W for the delta rule.",
    draw=draw_segment,
    returns=("a", "U", "A", "W"),
    verified="segments of different lengths, keys and values of different sizes",
    expected=by_recurrence,
    misconceptions=(
        Misconception(
            "the transitions of the delta rule are multiplied in the wrong order",
            "the last token acts last and stands on the left: A = T_N … T_2 T_1 (they do not commute)",
            spoilt(A=lambda log_a, B, x, K, V, beta: product(K, beta)),
            of=("A",),
        ),
        Misconception(
            "the transitions of the delta rule are multiplied entry by entry",
            "one acts after the other, so theirs is a product of matrices: @, not *",
            spoilt(
                A=lambda log_a, B, x, K, V, beta: np.prod(
                    [product(k[None], b[None]) for k, b in zip(K, beta, strict=True)], axis=0
                )
            ),
            of=("A",),
        ),
        Misconception(
            "A is I minus the sum of all β k kᵀ",
            "that holds for orthogonal keys only: what one token removes, a later one finds removed, so multiply",
            spoilt(A=lambda log_a, B, x, K, V, beta: np.eye(K.shape[1]) - (beta[:, None] * K).T @ K),
            of=("A",),
        ),
        Misconception(
            "A is the transition of the last token",
            "S passes the transitions of all tokens of the segment: multiply them",
            spoilt(A=lambda log_a, B, x, K, V, beta: product(K[-1:], beta[-1:])),
            of=("A",),
        ),
        Misconception(
            "the transitions of the delta rule add instead of removing",
            "a token removes β of what is stored under its key: I − β k kᵀ, with a minus",
            spoilt(A=lambda log_a, B, x, K, V, beta: product(K[::-1], -beta[::-1])),
            of=("A",),
        ),
        Misconception(
            "the decays of SSD act on the delta rule, too",
            "log_a belongs to SSD; the delta rule of this exercise has no decay, and A is the product of I − β k kᵀ",
            spoilt(A=lambda log_a, B, x, K, V, beta: np.exp(log_a.sum()) * product(K[::-1], beta[::-1])),
            of=("A",),
        ),
        Misconception(
            "keys are divided by their lengths",
            "take the keys as they come: k kᵀ and k vᵀ hold their lengths",
            spoilt(A=lambda log_a, B, x, K, V, beta: product(unit(K)[::-1], beta[::-1])),
            of=("A",),
        ),
        Misconception(
            "the delta rule passes on its state alone",
            "it removes from what it receives: A is the product of the I − β k kᵀ, not the identity",
            spoilt(A=lambda log_a, B, x, K, V, beta: np.eye(K.shape[1])),
            of=("A",),
        ),
        Misconception(
            "β is left out of the transitions",
            "a token removes β of what is stored under its key: I − β k kᵀ",
            spoilt(A=lambda log_a, B, x, K, V, beta: product(K[::-1], np.ones(len(K)))),
            of=("A",),
        ),
        Misconception(
            "the delta rule's W only adds",
            "later tokens of the segment remove from what earlier ones have written: run the recurrence from zero",
            spoilt(W=lambda log_a, B, x, K, V, beta: (beta[:, None] * K).T @ V),
            of=("W",),
        ),
        Misconception(
            "β is left out of what the delta rule writes",
            "a token writes β of its value, too: β k vᵀ",
            spoilt(W=lambda log_a, B, x, K, V, beta: last_state(K, V, np.ones(len(K)), beta)),
            of=("W",),
        ),
        Misconception(
            "a token of the delta rule removes from what it has just written",
            "the transition acts on the state before: W = (I − β k kᵀ) W + β k vᵀ",
            spoilt(W=lambda log_a, B, x, K, V, beta: last_state(K, V, beta, beta, after=True)),
            of=("W",),
        ),
        Misconception(
            "what the segment writes is decayed from the start of the segment, not to its end",
            "the decays after token t act on what it writes: log_a[t + 1] + … + log_a[N − 1]",
            spoilt(U=lambda log_a, B, x, *_: (B * np.exp(np.cumsum(log_a))[:, None]).T @ x),
            of=("U",),
        ),
        Misconception(
            "what the segment writes does not decay",
            "token t's writing passes the decays of all tokens after it before the segment ends",
            spoilt(U=undecayed),
            of=("U",),
        ),
        Misconception(
            "a token decays what it writes itself",
            "S = a_t S + B_t x_tᵀ: a token's decay acts on what was there before, not on its own writing",
            spoilt(U=decayed_by_age),
            of=("U",),
        ),
        Misconception(
            "the log of the decay is passed on",
            "the state is multiplied by a = exp of the sum of log_a",
            spoilt(a=lambda log_a, *_: log_a.sum()),
            of=("a",),
        ),
        Misconception(
            "the first decay is left out",
            "the first token of the segment decays what it receives, too: sum all of log_a",
            spoilt(a=lambda log_a, *_: np.exp(log_a[1:].sum())),
            of=("a",),
        ),
        Misconception(
            "the decays are added",
            "decays multiply, and their logs add up: a = exp of the sum of log_a",
            spoilt(a=lambda log_a, *_: np.exp(log_a).sum()),
            of=("a",),
        ),
        Misconception(
            "a is the decay of the last token",
            "S passes the decays of all tokens of the segment: a = exp of the sum of log_a",
            spoilt(a=lambda log_a, *_: np.exp(log_a[-1])),
            of=("a",),
        ),
        Misconception(
            "a is given for every token",
            "only what the whole segment does to S travels: its last one, exp of the sum of log_a, a number",
            spoilt(a=lambda log_a, *_: np.exp(np.cumsum(log_a))),
            of=("a",),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "Run the recurrence over the segment from the state 0: that is U, or W. What becomes of a state I?",
        ),
        (
            "U is right and A is not",
            "One token of the delta rule does S → (I − β k kᵀ) S + β k vᵀ. Two tokens do T_2 (T_1 S).",
        ),
        (
            "a has the wrong shape",
            "SSD has one decay a token, the same for all numbers of the state: a is one number.",
        ),
    ),
)

EXERCISES = (WHAT_TRAVELS,)
