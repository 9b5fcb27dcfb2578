"""ListOps: nested lists of digits with operators, and the value of the whole. Introduced in 05b_long_range."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from .tasks import IGNORE, Batch, Seed

OPERATORS: dict[str, Callable[[Sequence[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda digits: int(median(digits)),
    "[SM": lambda digits: sum(digits) % 10,
}
WORDS = [*map(str, range(10)), *OPERATORS, "]"]
_BLANK = len(WORDS)
_P_OPERATOR, _MAX_ARGUMENTS, _MAX_DEPTH = 0.25, 10, 10


def value(words: Sequence[str]) -> int:
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
    """Say the value of an expression at its last bracket, by the rules of the Long Range Arena, at a length of choice.

    A place in the tree is an operator with probability 1/4, else a digit; operators have 2 to 10 arguments, the tree at
    most 10 levels. An expression is kept if it has more than length/4 and fewer than `length` words, which is the
    benchmark's rule (500 < words < 2000) at length = 2000. Blanks fill the rest.
    Sources: Nangia and Bowman, arXiv 1804.06028; Tay et al., arXiv 2011.04006, Section 2.2.1.
    """

    @property
    def n_tokens(self) -> int:
        return len(WORDS) + 1

    @property
    def n_classes(self) -> int:
        return 10

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
            labels[row, len(words) - 1] = value(words)
        return Batch(tokens, labels)


def _expression(rng: random.Random, longest: int) -> list[str]:
    """The words of a random expression, given up when it is too long to be kept."""
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
