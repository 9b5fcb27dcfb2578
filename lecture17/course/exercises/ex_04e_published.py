"""Exercises of 04e_published."""

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- half-life ----------------------------------------------------------------------------------------------------


def draw_decays(rng: np.random.Generator) -> Inputs:
    """Decays of heads that forget at different rates, and differently from token to token."""
    N, heads = int(rng.integers(5, 60)), int(rng.integers(2, 6))
    rates = np.exp(rng.uniform(-5, 0.5, size=heads))
    return {"log_a": -rates * rng.uniform(0.1, 2.0, size=(N, heads))}


def memory(log_a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A head at a time, token by token."""
    N, heads = log_a.shape
    half_life, kept = np.empty(heads), np.ones(heads)
    for h in range(heads):
        for t in range(1, N):  # token 0 decays only what was there before it
            kept[h] *= np.exp(log_a[t, h])
        half_life[h] = np.log(0.5) / (sum(log_a[:, h]) / N)
    return half_life, kept


def kept_of(log_a: np.ndarray) -> np.ndarray:
    return np.exp(log_a[1:].sum(0))


HALF_LIFE = Exercise(
    id="04e_published-half-life",
    points=4,
    unfilled="Compute each head's half-life from the mean of its log decays, and what is kept of the first token.",
    draw=draw_decays,
    returns=("half_life", "kept"),
    verified="with heads of very different rates",
    expected=memory,
    where=lambda inputs, index: f"head {index[0]}",
    misconceptions=(
        Misconception(
            "the time constant is taken for the half-life",
            "after 1 / mean(-log a) tokens the share 1/e is left; half is left after log(2) times as many",
            lambda log_a: (1 / -log_a.mean(0), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "the decays are averaged, not their logs",
            "decays multiply, so their logs add up: take the mean of log_a itself",
            lambda log_a: (np.log(2) / -np.log(np.exp(log_a).mean(0)), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "the half-lives of the tokens are averaged",
            "a token that hardly decays would count for everything: average log_a first, divide afterwards",
            lambda log_a: ((np.log(2) / -log_a).mean(0), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "a logarithm to the base 2 stands beside one to the base e",
            "log_a is to the base e: use np.log(2), which is 0.693, and not np.log2(2), which is 1",
            lambda log_a: (-1 / (log_a.mean(0) * np.log2(np.e) ** 2), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "the mean is over heads instead of tokens",
            "rows of log_a are tokens: average over axis 0, and one number per head is left",
            lambda log_a: (np.log(2) / -log_a.mean(1), np.exp(log_a.sum(1))),
        ),
        Misconception(
            "the first token is decayed by its own decay",
            "token 0 is written after its own decay: what it wrote shrinks from token 1 on",
            lambda log_a: (np.log(2) / -log_a.mean(0), np.exp(log_a.sum(0))),
            of=("kept",),
        ),
        Misconception(
            "the last token's decay is left out",
            "the state after the last token has shrunk by that token's decay, too",
            lambda log_a: (np.log(2) / -log_a.mean(0), np.exp(log_a[1:-1].sum(0))),
            of=("kept",),
        ),
        Misconception(
            "the logs are multiplied",
            "decays multiply, and logs add up: exp of a sum",
            lambda log_a: (np.log(2) / -log_a.mean(0), np.exp(log_a[1:].prod(0))),
            of=("kept",),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "If every token had the same log a, what is left after n tokens would be exp(n log a). For which n is that "
            "one half? Then put the mean over the tokens in its place.",
        ),
        ("My half-lives are negative", "log_a is at most 0. Half is left where n · mean(log_a) = -log(2)."),
        (
            "half_life is right and kept is not",
            "Write down the state after tokens 0 and 1: S_1 = a_1 (B_0 x_0) + …. Which decays stand before token 0?",
        ),
    ),
)

# --- pairs of a rotation ------------------------------------------------------------------------------------------


def draw_projection(rng: np.random.Generator) -> Inputs:
    """Rows of several heads, of which only the first rope_dim are rotated."""
    heads, d = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    rope_dim = 2 * int(rng.integers(3, 6))
    head_dim = rope_dim + int(rng.integers(1, 5))
    return {"W": rng.normal(size=(heads * head_dim, d)), "heads": heads, "rope_dim": rope_dim}


def row_by_row(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    head_dim, out = len(W) // heads, np.empty_like(W)
    for h in range(heads):
        for i in range(head_dim):
            partner, pair = divmod(i, rope_dim // 2)
            here = i if i >= rope_dim else 2 * pair + partner
            out[h * head_dim + here] = W[h * head_dim + i]
    return out


def ordered(order_of: object) -> object:
    """An answer that takes rows in the order that `order_of(head_dim, rope_dim)` gives, in each head."""

    def answer(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
        by_head = W.reshape(heads, -1, W.shape[1])
        order = order_of(by_head.shape[1], rope_dim)  # type: ignore[operator]
        return by_head[:, order].reshape(W.shape)

    return answer


def halves_to_pairs(n: int) -> np.ndarray:
    return np.arange(n).reshape(2, -1).T.ravel()


def whole_projection(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    order = np.arange(len(W))
    order[:rope_dim] = halves_to_pairs(rope_dim)
    return W[order]


ROPE_PAIRS = Exercise(
    id="04e_published-rope-pairs",
    points=4,
    unfilled="Return the rows of W in the order in which those that are rotated together are neighbors.",
    draw=draw_projection,
    returns=("rows",),
    verified="with heads that are rotated in part",
    expected=row_by_row,
    misconceptions=(
        Misconception(
            "the inverse order is applied",
            "new row 2 i is old row i: build the order that says where each new row comes from, 0, r/2, 1, r/2 + 1, …",
            ordered(lambda n, r: np.append(np.argsort(halves_to_pairs(r)), np.arange(r, n))),  # type: ignore[arg-type]
        ),
        Misconception(
            "the whole head is reordered",
            "only the first rope_dim rows of a head are rotated; those after them stay where they are",
            ordered(lambda n, r: np.append(halves_to_pairs(n - n % 2), np.arange(n - n % 2, n))),  # type: ignore[arg-type]
        ),
        Misconception(
            "only the first head is reordered",
            "every head has its own rotated rows: reshape W to (heads, head_dim, d) first",
            whole_projection,
        ),
        Misconception(
            "neighbors are exchanged instead of brought together",
            "published pairs are (i, i + rope_dim / 2), not (2 i, 2 i + 1): interleave the two halves",
            ordered(lambda n, r: np.append(np.arange(r) ^ 1, np.arange(r, n))),  # type: ignore[arg-type]
        ),
        Misconception(
            "the two halves are exchanged",
            "the halves must be interleaved: first of one, first of the other, second of one, …",
            ordered(lambda n, r: np.append(np.roll(np.arange(r), r // 2), np.arange(r, n))),  # type: ignore[arg-type]
        ),
        Misconception(
            "W is returned as it was",
            "code that rotates neighbors would then rotate the wrong pairs: interleave the two halves of each head",
            lambda W, heads, rope_dim: W.copy(),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "Write down the new order for rope_dim = 6: which old rows stand at places 0, 1, 2, 3, 4, 5? "
            "They are 0, 3, 1, 4, 2, 5.",
        ),
        (
            "How do I interleave two halves?",
            "np.arange(r).reshape(2, -1) has the halves as its rows. Which order do you read its transpose in?",
        ),
        (
            "It works for one head only",
            "Reshape W to (heads, head_dim, d), reorder the second axis, and reshape back. The rows from rope_dim on "
            "keep their places.",
        ),
    ),
)

EXERCISES = (HALF_LIFE, ROPE_PAIRS)
