"""Tasks that show what a state can keep: counting modulo k (parity), composing permutations, copying.

A task draws sequences: `draw(batch, length, seed)` is a pure function, so the same arguments give the same sequences,
in any order and on any machine. Labels are IGNORE where nothing is asked. Introduced in 03d_expressivity.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
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

    @property
    def n_classes(self) -> int:
        return self.k

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        tokens = np.random.default_rng(seed).integers(self.k, size=(batch, length))
        return Batch(tokens, tokens.cumsum(1) % self.k)


@dataclass(frozen=True)
class Permutations:
    """Move n things about, and say how they lie after each token: the word problem of the symmetric group.

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

    @property
    def n_classes(self) -> int:
        return len(self.elements)

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
    """Read `length` random letters, then say them again: 2 · length tokens, asked in the second half.

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
