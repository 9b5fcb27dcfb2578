"""FLOPs of the three forms, on which the rows of `mixers` build. The convention stands here.

A multiplication or an addition is one FLOP, so a product (n, m) @ (m, p) is 2nmp, and a triangular system of size n is
n² for each right-hand side. What is multiplied counts: a masked square counts whole, in softmax as in a chunk, and a
chunk is as long as `ops` makes it on a CPU. Exponentials, comparisons, and masks and factors made from decays are left
out. N tokens, keys of d_k and values of d_v numbers (for SSMs d_state and the features of a head), chunks of c tokens;
all for one head of one sequence. `Work` keeps matrix products and solves apart from the rest, and a test compares them
with PyTorch's own counter. Where decays are too strong to be divided out, `ops` takes another way, with other counts.

    parallel     all scores, masked, times the values: N² (2 d_k + 2 d_v + 1)
    recurrent    decay, write and read of a state of d_k d_v numbers at every token: 5 N d_k d_v
    chunkwise    the four steps of SSD: N [c (2 d_k + 2 d_v + 1) + 4 d_k d_v + 2 d_k d_v / c + 2 d_k + d_v]

and what a mixer does on top, said at its row. Source of the forms: Dao and Gu, arXiv 2405.21060, Section 6.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Size:
    """What the costs depend on: N tokens, keys of d_k and values of d_v numbers, chunks of c."""

    N: int
    d_k: int
    d_v: int
    c: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}: expected at least 1")

    @property
    def state(self) -> int:
        return self.d_k * self.d_v


@dataclass(frozen=True)
class Work:
    """FLOPs of matrix products and triangular solves, and of operations entry by entry."""

    products: float
    other: float = 0.0

    @property
    def total(self) -> float:
        return self.products + self.other

    def __add__(self, more: "Work") -> "Work":
        return Work(self.products + more.products, self.other + more.other)


Formula = Callable[[Size], Work]


def parallel(s: Size) -> Work:
    return Work(s.N**2 * (2 * s.d_k + 2 * s.d_v), s.N**2)


def recurrent(s: Size) -> Work:
    return Work(2 * s.N * s.state, 3 * s.N * s.state)


def chunkwise(s: Size) -> Work:
    scores = s.N * s.c
    products = scores * (2 * s.d_k + 2 * s.d_v) + 4 * s.N * s.state
    return Work(products, scores + s.N * (2 * s.state / s.c + 2 * s.d_k + s.d_v))


def inverse(s: Size) -> float:
    """FLOPs of inverting unit-triangular matrices of size c: blocks of 16 are solved, then doubled by two products."""
    return s.N * (2 * s.c**2 + min(s.c, 16) ** 2) / 3


def normalized(formula: Formula) -> Formula:
    """The formula with the normalizer as one value more. Gates scale the values, and y is divided."""
    return lambda s: formula(replace(s, d_v=s.d_v + 1)) + Work(0, s.N * (2 * s.d_v + 1))


RECURRENCE: dict[str, Formula] = {"parallel": parallel, "recurrent": recurrent, "chunkwise": chunkwise}
DELTA_RULE: dict[str, Formula] = {
    # what is stored under k is read and replaced: a second read, in the scores a triangular solve
    "parallel": lambda s: parallel(s) + Work(s.N**2 * (3 * s.d_k + s.d_v), 2 * s.N**2),
    "recurrent": lambda s: recurrent(s) + Work(2 * s.N * s.state, 2 * s.N * s.d_v),
    "chunkwise": lambda s: Work(
        s.N * s.c * (6 * s.d_k + 4 * s.d_v) + 6 * s.N * s.state + inverse(s),
        s.N * (2 * s.c + s.state / s.c + 5 * s.d_k + s.d_v),
    ),
}
