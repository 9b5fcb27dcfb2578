"""Exercises of 04e_published."""

from typing import Any

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
            "after 1 / mean(-log a) tokens the share 1/e is left; half is left after np.log(2) = 0.693 times as many "
            "(np.log2(2) is 1)",
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
            of=("half_life",),
        ),
        Misconception(
            "all heads share one half-life",
            "every head has decays of its own: average over the tokens alone, axis 0",
            lambda log_a: (np.log(2) / -log_a.mean(), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "the first token is left out of the mean",
            "the mean is over the log decays of all N tokens; only what is kept begins at token 1",
            lambda log_a: (np.log(2) / -log_a[1:].mean(0), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "the log decays are added up instead of averaged",
            "one step decays by their mean: divide the sum by N",
            lambda log_a: (np.log(2) / -log_a.sum(0), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "the half-life has the wrong sign",
            "log_a is at most 0, and a half-life is positive: log(1/2) / mean(log_a), or log(2) / mean(-log_a)",
            lambda log_a: (np.log(2) / log_a.mean(0), kept_of(log_a)),
            of=("half_life",),
        ),
        Misconception(
            "the half-life is rounded to whole tokens",
            "return it as it is: a half-life of 0.4 or 3.7 tokens says more than one of 1 or 4",
            lambda log_a: (np.ceil(np.log(2) / -log_a.mean(0)), kept_of(log_a)),
            of=("half_life",),
            also=tuple(
                lambda log_a, rounded=rounded: (rounded(np.log(2) / -log_a.mean(0)), kept_of(log_a))
                for rounded in (np.floor, np.round)
            ),
        ),
        Misconception(
            "the two results are exchanged",
            "return the half-life first, then what is kept",
            lambda log_a: memory(log_a)[::-1],
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
            also=(lambda log_a: (np.log(2) / -log_a.mean(0), np.exp(log_a[:-1].sum(0))),),
        ),
        Misconception(
            "the mean stands in for the decays after token 0",
            "the mean holds the decay of token 0 as well: multiply those of tokens 1, …, N − 1 themselves",
            lambda log_a: (np.log(2) / -log_a.mean(0), np.exp((len(log_a) - 1) * log_a.mean(0))),
            of=("kept",),
        ),
        Misconception(
            "the log of what is kept is returned",
            "a share lies between 0 and 1: take exp of the sum of the logs",
            lambda log_a: (np.log(2) / -log_a.mean(0), log_a[1:].sum(0)),
            of=("kept",),
        ),
        Misconception(
            "the decays are added",
            "what token 0 wrote is multiplied by one decay after the other: exp of the sum of the logs",
            lambda log_a: (np.log(2) / -log_a.mean(0), np.exp(log_a[1:]).sum(0)),
            of=("kept",),
        ),
        Misconception(
            "the share that is lost is returned",
            "asked for is what is left, exp of the sum of the logs, not 1 minus it",
            lambda log_a: (np.log(2) / -log_a.mean(0), 1 - kept_of(log_a)),
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
    head_dim = rope_dim + 2 * int(rng.integers(1, 4))
    return {"W": rng.normal(size=(heads * head_dim, d)), "heads": heads, "rope_dim": rope_dim}


def row_by_row(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    head_dim, out = len(W) // heads, np.empty_like(W)
    for h in range(heads):
        for i in range(head_dim):
            partner, pair = divmod(i, rope_dim // 2)
            here = i if i >= rope_dim else 2 * pair + partner
            out[h * head_dim + here] = W[h * head_dim + i]
    return out


def ordered(order_of: Any) -> Any:
    """An answer that takes rows in the order that `order_of(head_dim, rope_dim)` gives, in each head."""

    def answer(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
        by_head = W.reshape(heads, -1, W.shape[1])
        order = order_of(by_head.shape[1], rope_dim)
        return by_head[:, order].reshape(W.shape)

    return answer


def halves_to_pairs(n: int) -> np.ndarray:
    return np.arange(n).reshape(2, -1).T.ravel()


def half_a_head_away(n: int, r: int) -> np.ndarray:
    order = np.arange(n)
    order[:r:2], order[1:r:2] = np.arange(r // 2), np.arange(r // 2) + n // 2
    return order


def from_both_ends(n: int, r: int) -> np.ndarray:
    order = np.arange(n)
    order[:r:2], order[1:r:2] = np.arange(r // 2), np.arange(r)[: r // 2 - 1 : -1]
    return order


def heads_last(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    order = np.append(halves_to_pairs(rope_dim), np.arange(rope_dim, len(W) // heads))
    return W.reshape(-1, heads, W.shape[1])[order].reshape(W.shape)


def heads_apart(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    return row_by_row(W, heads, rope_dim).reshape(heads, -1, W.shape[1])


def rotated_alone(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    return heads_apart(W, heads, rope_dim)[:, :rope_dim].reshape(heads * rope_dim, -1)


def others_zero(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    rows = heads_apart(W, heads, rope_dim).copy()
    rows[:, rope_dim:] = 0
    return rows.reshape(W.shape)


def overwritten(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    rows, half = W.copy().reshape(heads, -1, W.shape[1]), rope_dim // 2
    for i in range(half):
        rows[:, 2 * i] = rows[:, i]
        rows[:, 2 * i + 1] = rows[:, i + half]
    return rows.reshape(W.shape)


def columns(W: np.ndarray, heads: int, rope_dim: int) -> np.ndarray:
    return W[:, np.append(halves_to_pairs(rope_dim), np.arange(rope_dim, len(W) // heads))]


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
            ordered(lambda n, r: np.append(np.argsort(halves_to_pairs(r)), np.arange(r, n))),
        ),
        Misconception(
            "the whole head is reordered",
            "only the first rope_dim rows of a head are rotated; those after them stay where they are",
            ordered(lambda n, r: halves_to_pairs(n)),
        ),
        Misconception(
            "only the first head is reordered",
            "every head has its own rotated rows: reshape W to (heads, head_dim, d) first",
            whole_projection,
        ),
        Misconception(
            "neighbors are exchanged instead of brought together",
            "published pairs are (i, i + rope_dim / 2), not (2 i, 2 i + 1): interleave the two halves",
            ordered(lambda n, r: np.append(np.arange(r) ^ 1, np.arange(r, n))),
        ),
        Misconception(
            "the two halves are exchanged",
            "the halves must be interleaved: first of one, first of the other, second of one, …",
            ordered(lambda n, r: np.append(np.roll(np.arange(r), r // 2), np.arange(r, n))),
        ),
        Misconception(
            "the second half comes first in each pair",
            "row i goes to the even place 2 i, and row i + rope_dim / 2 to the odd one after it",
            ordered(lambda n, r: np.append(halves_to_pairs(r)[np.arange(r) ^ 1], np.arange(r, n))),
        ),
        Misconception(
            "the partner is sought half a head away",
            "only rope_dim rows are rotated, so the partner of row i is i + rope_dim / 2, not i + head_dim / 2",
            ordered(half_a_head_away),
        ),
        Misconception(
            "pairs are formed from both ends",
            "row i is rotated with row i + rope_dim / 2, not with row rope_dim − 1 − i",
            ordered(from_both_ends),
        ),
        Misconception(
            "the last rope_dim rows of a head are reordered",
            "the first rope_dim rows are rotated; those after them stay where they are",
            ordered(lambda n, r: np.append(np.arange(n - r), n - r + halves_to_pairs(r))),
        ),
        Misconception(
            "the rows of a head are taken to be every heads-th row",
            "the rows of head 0 come first, then those of head 1: reshape W to (heads, head_dim, d)",
            heads_last,
        ),
        Misconception(
            "heads keep an axis of their own",
            "W has two axes before and after: reshape the result back to W.shape",
            heads_apart,
        ),
        Misconception(
            "the rows that are not rotated are left out",
            "those from rope_dim on stay in their places, in every head",
            rotated_alone,
        ),
        Misconception(
            "the rows that are not rotated are zero",
            "those from rope_dim on stay as they are: begin with a copy of W",
            others_zero,
        ),
        Misconception(
            "rows are overwritten before they are read",
            "read from W and write to another array: the place 2 i still holds a row that is needed",
            overwritten,
        ),
        Misconception(
            "columns are reordered instead of rows",
            "a row of W makes one number of a query; the columns belong to the input: index the first axis",
            columns,
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
