"""The numbers of the table that unifies the family: what each member keeps, costs and can track. In 03c and 06.

numbers("RWKV-7")        state 4096, FLOPs a token, how much of a flip is kept, whether order matters
"""

from dataclasses import dataclass

import numpy as np

from .costs import carried, flops
from .mixers import MIXERS, Member, Mixer

LENGTH, WIDTH = 1024, 64  # tokens in a cache; numbers in a key and in a value
_TOKENS, _R = 60, 4


@dataclass(frozen=True)
class Numbers:
    """One head with keys and values of 64 numbers, after 1,024 tokens.

    state     numbers that are carried
    flops     of one token
    flip      how much of something stored is left when one token has turned its sign, 0 if none can
    order     whether the transitions of two tokens fail to commute; both None where there is no transition
    """

    state: int
    flops: int
    flip: float | None
    order: bool | None

    def cells(self) -> list[str]:
        """The four as a row of a table in words."""
        if self.flip is None:
            return [f"{self.state:,}", f"{self.flops:,}", "parts 03b, 03d", ""]
        parity = "no" if self.flip < 1e-9 else "yes" if self.flip > 0.99 else "fades"
        return [f"{self.state:,}", f"{self.flops:,}", f"{parity}: {self.flip:.2f}", "yes" if self.order else "no"]


class _Token:
    """Gates at the ends of their ranges and in the middle, and a key in any direction of length 1."""

    def __init__(self, rng: np.random.Generator):
        self.gate, self.rate, self.turn = 1 / (1 + np.exp(-rng.choice([-8.0, 0.0, 8.0], size=3)))
        self.gates = 1 / (1 + np.exp(-rng.choice([-8.0, 0.0, 8.0], size=_R)))
        self.key = rng.normal(size=_R)
        self.key /= np.linalg.norm(self.key)
        self.log_a, self.log_alpha = np.log(self.gate), np.log(self.gates)
        self.log_w = np.full(_R, -np.exp(-0.5) * self.rate)  # RWKV-7's range, part 03c
        self.fixed = np.exp(np.linspace(-1, 0, _R))  # decays that no token changes
        self.angles = np.full(_R // 2, np.pi * (2 * self.turn - 1))
        self.zero, self.eye = np.zeros(_R), np.eye(_R)
        self.turned = self.eye, 0 * self.angles, self.zero, self.zero  # Mamba-3's state


def members() -> dict[str, tuple[Mixer, Member | None]]:
    """The table's members: their row in the catalogue, and how a token that writes nothing is read."""
    return {title: (row, member) for row in MIXERS.values() for title, member in row.members.items()}


def transitions(member: str) -> np.ndarray:
    """A_t of `_TOKENS` random tokens, (tokens, r, r), read off the member's own step: row i is what e_i reads of A_t I.

    Raises ValueError for a member that is none or has no transition.
    """
    row, how = members().get(member, (None, None))
    if row is None or how is None:
        known = ", ".join(name for name, (_, how) in members().items() if how)
        raise ValueError(f"member is {member!r}: expected one of {known}")
    rng, step = np.random.default_rng(17), row.function("reference", "step")
    tokens = [_Token(rng) for _ in range(_TOKENS)]
    return np.array([[how.read(step, token, e)[0] for e in token.eye] for token in tokens])


def numbers(member: str) -> Numbers:
    """What the table says of a member. Raises ValueError for one that is not in it."""
    if member not in members():
        raise ValueError(f"member is {member!r}: expected one of {', '.join(members())}")
    row, how = members()[member]
    state, cost = carried(row.name, LENGTH, WIDTH, WIDTH), flops(row.name, "step", LENGTH, WIDTH, WIDTH)
    if how is None:
        return Numbers(state, cost, None, None)
    A = transitions(member)
    flip = max(0.0, -np.linalg.eigvals(A).real.min())
    return Numbers(state, cost - how.saved, float(flip), not np.allclose(A[:, None] @ A, A @ A[:, None]))
