"""Exercises of 03d_expressivity."""

from typing import Any

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- parity-by-hand -----------------------------------------------------------------------------------------------


def draw_bits(rng: np.random.Generator) -> Inputs:
    return {"bits": rng.integers(2, size=int(rng.integers(8, 200)))}


def parities(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States and parities, counted without a recurrence."""
    odd = np.array([np.count_nonzero(bits[: t + 1]) % 2 for t in range(len(bits))])
    return np.where(odd == 1, -1.0, 1.0), odd


def states_of(a: np.ndarray, start: float = 1.0) -> np.ndarray:
    return start * np.cumprod(a)


def one_late(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    h, odd = parities(bits)
    return np.append(1.0, h[:-1]), np.append(0, odd[:-1])


def parity_with(a: Any) -> Any:
    """The answer with the decays that `a` gives for the bits, read as the right one is."""

    def answer(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h = states_of(a(bits))
        return h, np.rint((1 - h) / 2).astype(int)

    return answer


PARITY_BY_HAND = Exercise(
    id="03d_expressivity-parity-by-hand",
    points=2,
    unfilled="Carry one number h, multiplied by a(bit) at each token, and read the parity from its sign.",
    draw=draw_bits,
    returns=("h", "parity"),
    verified="up to 199 bits long",
    expected=parities,
    misconceptions=(
        Misconception(
            "a one multiplies by 0",
            "0 forgets everything, including whether the count was odd; a one must flip the sign: a(1) = -1",
            parity_with(lambda bits: 1.0 - bits),
            of=("h",),
        ),
        Misconception(
            "zeros flip the sign and ones do not",
            "parity counts the ones: a(1) = -1 and a(0) = 1",
            parity_with(lambda bits: np.where(bits == 0, -1.0, 1.0)),
            of=("h",),
        ),
        Misconception(
            "the state is read before the token has acted",
            "update h with bit t first, then store it: parity t counts bit t",
            one_late,
        ),
        Misconception(
            "1 stands for even",
            "h = 1 means an even count, whose parity is 0: parity = (1 - h)/2",
            lambda bits: (parities(bits)[0], 1 - parities(bits)[1]),
        ),
        Misconception(
            "the state is the count of ones",
            "that counter grows without bound; let h be a sign that a one flips",
            lambda bits: (np.cumsum(bits).astype(float), parities(bits)[1]),
        ),
        Misconception(
            "the state is 0 or 1",
            "that state works too, but here h starts at 1 and is only multiplied, by a(bit) = 1 or -1",
            lambda bits: (parities(bits)[1].astype(float), parities(bits)[1]),
        ),
        Misconception(
            "a one makes the state smaller",
            "a decay between 0 and 1 can only fade, and never comes back to 1: a one must flip the sign, a(1) = -1",
            parity_with(lambda bits: np.where(bits == 1, 0.5, 1.0)),
            of=("h",),
            also=(parity_with(lambda bits: np.where(bits == 1, 0.9, 1.0)),),
        ),
        Misconception(
            "1 - h is not halved",
            "1 - h is 0 or 2; the parity is 0 or 1: (1 - h)/2",
            lambda bits: (parities(bits)[0], 2 * parities(bits)[1]),
            of=("parity",),
        ),
        Misconception(
            "the sign is returned as the parity",
            "1 and -1 say even and odd; the parity says it as 0 and 1: (1 - h)/2",
            lambda bits: (parities(bits)[0], parities(bits)[0].astype(int)),
            of=("parity",),
        ),
    ),
    hints=(
        (
            "I do not know what to carry",
            "One number, 1.0 at the start. A one must multiply it by something that undoes itself when done twice.",
        ),
        ("My state becomes 0 and stays there", "Some a is 0. A flip that can be undone is a multiplication by -1."),
        ("parity has the wrong type", "It is asked for as integers: ((1 - h) / 2).astype(int)."),
    ),
)

# --- mod-counter --------------------------------------------------------------------------------------------------


def draw_counter(rng: np.random.Generator) -> Inputs:
    k = int(rng.integers(3, 10))
    return {"increments": rng.integers(k, size=int(rng.integers(12, 200))), "k": k}


def states_at(counts: np.ndarray, k: int) -> np.ndarray:
    angle = 2 * np.pi * counts / k
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def counter(increments: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """States and counts, from sums of integers."""
    counts = np.cumsum(increments) % k
    return states_at(counts, k), counts


def unreduced(increments: np.ndarray, k: int) -> np.ndarray:
    """States from an angle that grows."""
    angle = 2 * np.pi * np.cumsum(increments) / k
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def steps_of_turn(h: np.ndarray, k: int) -> np.ndarray:
    return np.arctan2(h[:, 1], h[:, 0]) * k / (2 * np.pi)


def read_with(read: Any, states: Any = unreduced) -> Any:
    """The right states, read by read(h, k)."""
    return lambda increments, k: (states(increments, k), read(states(increments, k), k))


def read_by_angle(h: np.ndarray, k: int) -> np.ndarray:
    return np.rint(steps_of_turn(h, k)).astype(int)


def without_modulo(increments: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    h, _ = counter(increments, k)
    return h, read_by_angle(h, k)


def turned(angle: Any) -> Any:
    """The answer whose token t turns by angle(increment, k), read as the right one is."""

    def answer(increments: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        sums = np.cumsum(angle(increments, k))
        h = np.stack([np.cos(sums), np.sin(sums)], axis=1)
        return h, read_by_angle(h, k) % k

    return answer


MOD_COUNTER = Exercise(
    id="03d_expressivity-mod-counter",
    points=3,
    unfilled="Turn a state of two numbers by 2π·increment/k at each token, and read the count from its direction.",
    draw=draw_counter,
    returns=("h", "count"),
    verified="for k from 3 to 9",
    expected=counter,
    tol=1e-9,
    misconceptions=(
        Misconception(
            "negative angles are not taken modulo k",
            "arctan2 returns angles between -π and π, so half of the counts come out negative: take them modulo k",
            without_modulo,
            of=("count",),
            also=(read_with(read_by_angle),),
        ),
        Misconception(
            "the state turns the other way",
            "the rotation matrix is [[cos, -sin], [sin, cos]]; its transpose turns clockwise",
            turned(lambda increments, k: -2 * np.pi * increments / k),
            of=("h",),
        ),
        Misconception(
            "every token turns by one step",
            "a token that adds 3 turns three times as far: the angle is 2π·increment/k",
            turned(lambda increments, k: np.full(len(increments), 2 * np.pi / k)),
        ),
        Misconception(
            "a full turn is taken to be π",
            "k steps must make a full turn: each is 2π/k, not π/k",
            turned(lambda increments, k: np.pi * increments / k),
            of=("h",),
        ),
        Misconception(
            "the state is read before the token has turned it",
            "turn first, then store: count t includes increment t",
            lambda increments, k: counter(np.append(0, increments[:-1]), k),
        ),
        Misconception(
            "the count is cut off instead of rounded",
            "2.9999 is 3: use np.rint before you turn it into an integer",
            read_with(lambda h, k: np.floor(steps_of_turn(h, k) % k).astype(int)),
            of=("count",),
            also=(
                read_with(
                    lambda h, k: np.floor(np.arctan2(h[:, 1], h[:, 0]) % (2 * np.pi) * k / (2 * np.pi)).astype(int)
                ),
                read_with(lambda h, k: steps_of_turn(h, k).astype(int) % k),
                read_with(lambda h, k: np.floor(steps_of_turn(h, k)).astype(int) % k),
            ),
        ),
        Misconception(
            "x and y have changed places in arctan2",
            "np.arctan2(y, x) takes the sine first: np.arctan2(h[:, 1], h[:, 0])",
            read_with(lambda h, k: np.rint(steps_of_turn(h[:, ::-1], k)).astype(int) % k),
            of=("count",),
        ),
        Misconception(
            "the angle is in degrees",
            "np.cos and np.sin take radians: a full turn is 2π",
            lambda increments, k: (turned(lambda x, k: 360 * x / k)(increments, k)[0], counter(increments, k)[1]),
            of=("h",),
        ),
        Misconception(
            "every token turns the first state",
            "turn the state that the token before has left: angles add up",
            lambda increments, k: (states_at(increments, k), increments),
            of=("h",),
        ),
        Misconception(
            "the state is (sin, cos)",
            "(1, 0) is the start: the first number is the cosine",
            lambda increments, k: (states_at(counter(increments, k)[1], k)[:, ::-1], counter(increments, k)[1]),
            of=("h",),
        ),
    ),
    hints=(
        (
            "I do not know what to carry",
            "A unit vector h, (1, 0) at the start. Token t turns it to R @ h, where R rotates by 2π·increment/k.",
        ),
        (
            "Half of my counts are wrong or negative",
            "arctan2 lies between -π and π. Round angle·k/2π, then take it modulo k.",
        ),
        ("Some counts are one too small", "astype(int) cuts off: 2.9999 becomes 2. Use np.rint first."),
    ),
)

# --- permutation-householder --------------------------------------------------------------------------------------


def draw_permutation(rng: np.random.Generator) -> Inputs:
    return {"p": rng.permutation(3)}


def matrix_of(p: np.ndarray) -> np.ndarray:
    """P with P e_j = e_{p[j]}."""
    P = np.zeros((3, 3))
    P[p, np.arange(3)] = 1
    return P


def reflections(p: np.ndarray, slip: str = "") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring 0 to its place by one swap, then 1 by another; with the slip that is asked for."""
    K, beta, at = np.zeros((2, 3)), np.zeros(2), np.arange(3)  # at[j]: where thing j is by now
    K[:, 0] = 1.0
    for step in range(2):
        here, there = at[step], p[step]
        if here != there:
            k = np.zeros(3)
            k[[here, there]] = 1.0, 1.0 if slip == "sum" else -1.0
            K[step] = k if slip == "not unit" else k / np.sqrt(2)
            beta[step] = 1.0 if slip == "projection" else 2.0
            at = np.array([{here: there, there: here}.get(place, place) for place in at])
    first, second = (np.eye(3) - b * np.outer(k, k) for k, b in zip(K, beta, strict=True))
    if slip == "one step":
        return K, beta, first
    return K, beta, first @ second if slip == "order" else second @ first


def verify_reflections(inputs: Inputs, outputs: dict[str, Any]) -> str | None:
    """None if K and β are two steps of the delta rule that make P, and T is what they make."""
    try:
        K, beta, T = (np.asarray(outputs[name], dtype=np.float64) for name in ("K", "beta", "T"))
    except (TypeError, ValueError):
        return "K, beta and T must be arrays of numbers"
    for name, value, shape in (("K", K, (2, 3)), ("beta", beta, (2,)), ("T", T, (3, 3))):
        if value.shape != shape:
            return f"{name} has shape {value.shape}: expected {shape}"
        if not np.isfinite(value).all():
            return f"{name} has entries that are not finite"
    p, P = inputs["p"], matrix_of(inputs["p"])
    for step in range(2):
        if beta[step] < 0 or beta[step] > 2:
            return f"beta[{step}] is {beta[step]:.6g}: a step of the delta rule has β from 0 to 2"
        if abs(np.linalg.norm(K[step]) - 1) > 1e-9:
            return f"K[{step}] has length {np.linalg.norm(K[step]):.6g}: expected a key of length 1 (any, where β is 0)"
        if min(beta[step], 2 - beta[step]) > 1e-9:
            return f"beta[{step}] is {beta[step]:.6g}, which shrinks the part along the key: a reflection has β = 2"
    first, second = (np.eye(3) - b * np.outer(k, k) for k, b in zip(K, beta, strict=True))
    wrong = np.abs(T - P).max(axis=0) > 1e-9
    if np.abs(T - P.T).max() < 1e-9 < np.abs(T - P).max():
        return f"for p = {p.tolist()} T undoes p: thing j goes to place p[j], and the first step stands on the right"
    if np.abs(np.abs(T) - P).max() < 1e-9 < np.abs(T - P).max():
        return f"for p = {p.tolist()} T has a -1, which a key along e_i + e_j makes: take the difference, e_i - e_j"
    if wrong.any():
        j = int(np.argmax(wrong))
        return (
            f"for p = {p.tolist()} column {j} of T is {T[:, j].round(3).tolist()}: expected thing {j} in place {p[j]}"
        )
    if np.abs(second @ first - P).max() > 1e-9:
        return f"for p = {p.tolist()} T is right, but the two steps of K and beta, K[0] first, do not make it"
    return None


PERMUTATION_HOUSEHOLDER = Exercise(
    id="03d_expressivity-permutation-householder",
    points=3,
    unfilled="Return keys K and beta of two steps of the delta rule that permute as p does, and T, their product.",
    draw=draw_permutation,
    returns=("K", "beta", "T"),
    verified="and your two steps make every permutation",
    verify=verify_reflections,
    misconceptions=(
        Misconception(
            "the permutation is undone instead of done",
            "thing j goes to place p[j], a 1 in row p[j] of column j; and the first step stands on the right: "
            "T = H_1 @ H_0 with H_i = I - β_i k_i k_iᵀ",
            lambda p: reflections(p, "order"),
            of=("T",),
        ),
        Misconception(
            "a swap is given β = 1",
            "β = 1 projects: it sets the part along k to zero; a reflection reverses it, with β = 2",
            lambda p: reflections(p, "projection"),
            of=("T",),
        ),
        Misconception(
            "the key does not have length 1",
            "I - 2 k kᵀ is a reflection only for a unit vector: divide e_i - e_j by √2",
            lambda p: reflections(p, "not unit"),
            of=("T",),
        ),
        Misconception(
            "the key is a sum of unit vectors",
            "k = (e_i + e_j)/√2 exchanges the two and flips their signs: take the difference",
            lambda p: reflections(p, "sum"),
            of=("T",),
        ),
        Misconception(
            "only the first of two swaps is made",
            "one swap puts thing 0 in its place; a cyclic shift needs a second one for the other two",
            lambda p: reflections(p, "one step"),
            of=("T",),
        ),
    ),
    hints=(
        (
            "I do not see how a step swaps two places",
            "I - 2 k kᵀ with k = (e_i - e_j)/√2 exchanges e_i and e_j. Multiply it out.",
        ),
        (
            "Swaps work and shifts do not",
            "First bring thing 0 to its place by a swap; then see where 1 and 2 are now, and swap them if necessary.",
        ),
        (
            "What do I return if nothing has to move?",
            "β = 0 gives I, whatever the key: any vector of length 1 will do.",
        ),
    ),
)

EXERCISES = (PARITY_BY_HAND, MOD_COUNTER, PERMUTATION_HOUSEHOLDER)
