"""Tasks that show what a state can keep: counting modulo k (parity), permutations, copying, recall, ListOps.

A task draws sequences: `draw(batch, length, seed)` is a pure function, so the same arguments give the same sequences,
in any order and on any machine. Labels are IGNORE where nothing is asked for. Introduced in 03d_expressivity;
`Recall`, `Passkey` and `ListOps` in 05b_long_range.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Int

IGNORE = -100  # the label that PyTorch's cross entropy passes over
Seed = int | Sequence[int]


class Batch(NamedTuple):
    """Sequences, and what is asked of each of their tokens."""

    tokens: Int[np.ndarray, "batch time"]
    labels: Int[np.ndarray, "batch time"]


class Task(Protocol):
    """What a network can be trained on: tokens 0 … n_tokens - 1 in, classes 0 … n_classes - 1 out."""

    @property
    def n_tokens(self) -> int: ...
    @property
    def n_classes(self) -> int: ...
    def draw(self, batch: int, length: int, seed: Seed) -> Batch: ...


@dataclass(frozen=True)
class ModCounter:
    """Add up numbers modulo k, and say the sum after each token: y_t = (x_0 + … + x_t) mod k. Parity is k = 2."""

    k: int

    @property
    def n_tokens(self) -> int:
        return self.k

    n_classes = n_tokens

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        tokens = np.random.default_rng(seed).integers(self.k, size=(batch, length))
        return Batch(tokens, tokens.cumsum(1) % self.k)


@dataclass(frozen=True)
class Permutations:
    """Move n things around, and say in which order they are after each token: the word problem of the symmetric group.

    Token g is the permutation `elements[g]`, which takes the thing at place j to place elements[g][j]; the label is the
    number of the permutation that all tokens up to here make together.
    """

    n: int = 3

    @property
    def elements(self) -> list[tuple[int, ...]]:
        return list(itertools.permutations(range(self.n)))

    @property
    def n_tokens(self) -> int:
        return len(self.elements)

    n_classes = n_tokens

    def products(self) -> Int[np.ndarray, "g g"]:
        """The multiplication table: entry (g, h) is the number of "first h, then g"."""
        number = {p: i for i, p in enumerate(self.elements)}
        return np.array([[number[tuple(g[j] for j in h)] for h in self.elements] for g in self.elements])

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        products = self.products()
        tokens = np.random.default_rng(seed).integers(len(products), size=(batch, length))
        labels, so_far = np.empty_like(tokens), np.zeros(batch, int)  # number 0 moves nothing
        for t in range(length):
            so_far = products[tokens[:, t], so_far]
            labels[:, t] = so_far
        return Batch(tokens, labels)


@dataclass(frozen=True)
class Copying:
    """Read `length` random letters, then repeat them: 2 · length tokens, with labels in the second half.

    From the second half's second token on, the input is the letter that was right one token before; its first token is
    the sign "now repeat", number n_letters.
    """

    n_letters: int

    @property
    def n_tokens(self) -> int:
        return self.n_letters + 1

    @property
    def n_classes(self) -> int:
        return self.n_letters

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        letters = np.random.default_rng(seed).integers(self.n_letters, size=(batch, length))
        sign = np.full((batch, 1), self.n_letters)
        return Batch(
            np.concatenate([letters, sign, letters[:, :-1]], 1),
            np.concatenate([np.full_like(letters, IGNORE), letters], 1),
        )


_EXPONENT = -0.99  # of the gaps between the facts and the questions


@dataclass(frozen=True)
class Recall:
    """Multi-query associative recall (MQAR): `pairs` facts k v k v …, then each key once more, to ask for its value.

    A sequence has `time` tokens: the facts, then questions among blanks. With time=None it has three for each pair, and
    no blanks. Keys and values come from disjoint halves of the vocabulary, each without replacement. Question i stands
    at a gap g after the facts with probability proportional to g^-0.99, so most come soon and some late. Only questions
    have labels. `draw` takes the number of pairs as its length, so that tests can vary it.
    Source: Arora et al., arXiv 2312.04927, Section 3 and Appendix E.
    """

    n_keys: int = 64
    time: int | None = 64

    @property
    def n_tokens(self) -> int:
        return 2 * self.n_keys + 1  # keys, values, and the blank

    n_classes = n_tokens

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        time = 3 * length if self.time is None else self.time
        gaps = time - 2 * length
        if not 1 <= length <= min(gaps, self.n_keys):
            most = self.n_keys if self.time is None else min(self.time // 3, self.n_keys)
            raise ValueError(f"length is {length} pairs: expected 1 to {most} for {self.n_keys} keys, time {self.time}")
        rng = np.random.default_rng(seed)

        def without_replacement(weights: np.ndarray) -> np.ndarray:
            """`length` places in each row, drawn one after the other by weight (as the largest of Gumbel variables)."""
            keys = np.log(weights) + rng.gumbel(size=(batch, len(weights)))
            return keys.argsort(1)[:, ::-1][:, :length]

        keys = without_replacement(np.ones(self.n_keys))
        values = self.n_keys + without_replacement(np.ones(self.n_keys))
        at = 2 * length + without_replacement(np.arange(1, gaps + 1) ** _EXPONENT)
        tokens = np.full((batch, time), 2 * self.n_keys)
        tokens[:, 0 : 2 * length : 2], tokens[:, 1 : 2 * length : 2] = keys, values
        labels = np.full_like(tokens, IGNORE)
        np.put_along_axis(tokens, at, keys, 1)
        np.put_along_axis(labels, at, values, 1)
        return Batch(tokens, labels)


@dataclass(frozen=True)
class Passkey:
    """One fact in a text of `length` tokens that do not matter, and at the end the question for it.

    The fact is a sign, number n_values + n_fillers, and the value after it, one of 0 … n_values - 1; it stands at a
    place drawn evenly. All other tokens are fillers, drawn evenly, except the last: the sign again, which asks for the
    value. A miniature of the passkey test: Mohtashami and Jaggi, arXiv 2305.16300.
    """

    n_values: int = 32
    n_fillers: int = 32

    @property
    def n_tokens(self) -> int:
        return self.n_values + self.n_fillers + 1

    @property
    def n_classes(self) -> int:
        return self.n_values

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        if length < 3:
            raise ValueError(f"length is {length}: expected at least 3, the fact and the question")
        rng = np.random.default_rng(seed)
        sign = self.n_values + self.n_fillers
        tokens = rng.integers(self.n_values, sign, size=(batch, length))
        at, value = rng.integers(length - 2, size=batch), rng.integers(self.n_values, size=batch)
        rows = np.arange(batch)
        tokens[rows, at], tokens[rows, at + 1], tokens[:, -1] = sign, value, sign
        labels = np.full_like(tokens, IGNORE)
        labels[:, -1] = value
        return Batch(tokens, labels)


OPERATORS: dict[str, Callable[[Sequence[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda digits: int(median(digits)),
    "[SM": lambda digits: sum(digits) % 10,
}
WORDS = [*map(str, range(10)), *OPERATORS, "]"]
_BLANK = len(WORDS)
_P_OPERATOR, _MAX_ARGUMENTS, _MAX_DEPTH = 0.25, 10, 10


def listops_value(words: Sequence[str]) -> int:
    """The value of an expression, given as its words: digits, [MIN, [MAX, [MED, [SM (sum modulo 10) and ]."""
    stack: list[list[int]] = [[]]
    operators: list[str] = []
    for word in words:
        if word in OPERATORS:
            operators.append(word)
            stack.append([])
        elif word == "]":
            arguments = stack.pop()
            stack[-1].append(OPERATORS[operators.pop()](arguments))
        else:
            stack[-1].append(int(word))
    return stack[0][0]


@dataclass(frozen=True)
class ListOps:
    """Say the value of an expression at its last bracket, by the rules of the Long Range Arena, for any length.

    A place in the tree is an operator with probability 1/4, else a digit; operators have 2 to 10 arguments, the tree at
    most 10 levels. An expression is kept if it has more than length/4 and fewer than `length` words, which is the
    benchmark's rule (500 < words < 2000) at length = 2000. Blanks fill the rest.
    Sources: Nangia and Bowman, arXiv 1804.06028; Tay et al., arXiv 2011.04006, Section 2.2.1.
    """

    n_tokens, n_classes = len(WORDS) + 1, 10

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        if length < 12:
            raise ValueError(f"length is {length}: expected at least 12, room for [OP a b … ] with some arguments")
        rng = random.Random(int(np.random.default_rng(seed).integers(2**63)))  # one number at a time: much quicker
        tokens, labels = np.full((batch, length), _BLANK), np.full((batch, length), IGNORE)
        number = {word: i for i, word in enumerate(WORDS)}
        for row in range(batch):
            words: list[str] = []
            while not length / 4 < len(words) < length:
                words = _expression(rng, length)
            tokens[row, : len(words)] = [number[word] for word in words]
            labels[row, len(words) - 1] = listops_value(words)
        return Batch(tokens, labels)


def _expression(rng: random.Random, longest: int) -> list[str]:
    """The words of a random expression; cut off as soon as it is too long to be kept."""
    names = list(OPERATORS)
    words: list[str] = []

    def grow(depth: int) -> None:
        if len(words) >= longest:
            return
        if depth >= _MAX_DEPTH or rng.random() > _P_OPERATOR:
            words.append(str(rng.randrange(10)))
            return
        words.append(rng.choice(names))
        for _ in range(rng.randint(2, _MAX_ARGUMENTS)):
            grow(depth + 1)
        words.append("]")

    grow(1)
    return words
