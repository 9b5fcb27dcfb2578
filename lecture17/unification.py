"""The numbers of the table that unifies the family: what each member keeps, costs and can track. In 03c and 06.

numbers("RWKV-7")        state 4096, FLOPs a token, how much of a flip is kept, whether order matters
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .flops import carried, flops
from .reference import delta_rule, gla, mamba3, retention, rwkv7, selective_scan, ssd

LENGTH, WIDTH = 1024, 64  # tokens in a cache; numbers in a key and in a value
_TOKENS, _R = 60, 4
_EYE, _ZERO = np.eye(_R), np.zeros(_R)


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


def _delta(beta_max: float, gated: bool = False) -> Callable[[_Token, np.ndarray], Any]:
    def read(t: _Token, q: np.ndarray) -> Any:
        return delta_rule.step(q, t.key, _ZERO, beta_max * t.rate, t.log_a if gated else None, _EYE)

    return read


def _mamba3(t: _Token, q: np.ndarray) -> Any:
    angles = np.full(_R // 2, np.pi * (2 * t.turn - 1))
    return mamba3.step(_ZERO, 1.0, 1.0, t.log_a, angles, t.key, q, (_EYE, np.zeros(_R // 2), _ZERO, _ZERO))


# For each member the formulas' name for it, and what a query reads of the state I after a token that writes nothing.
MEMBERS: dict[str, tuple[str, Callable[[_Token, np.ndarray], Any] | None]] = {
    "softmax attention": ("softmax", None),
    "linear attention": ("linear_attention", lambda t, q: retention.step(q, t.key, _ZERO, 1.0, _EYE)),
    "RetNet": ("retention", lambda t, q: retention.step(q, t.key, _ZERO, 31 / 32, _EYE)),
    "RWKV-4": ("wkv4", lambda t, q: gla.step(q, t.key, _ZERO, np.linspace(-1, 0, _R), _EYE)),  # decays fixed
    "Mamba-1": ("selective_scan", lambda t, q: selective_scan.step(_ZERO, t.gates, -16 * _EYE - 1, t.key, q, _EYE)),
    "Mamba-2": ("ssd", lambda t, q: ssd.step(_ZERO, t.log_a, t.key, q, _EYE)),
    "GLA": ("gla", lambda t, q: gla.step(q, t.key, _ZERO, t.log_alpha, _EYE)),
    "DeltaNet, β < 1": ("delta_rule", _delta(1)),
    "DeltaNet, β < 2": ("delta_rule", _delta(2)),
    "gated DeltaNet, β < 2": ("delta_rule", _delta(2, gated=True)),
    "RWKV-7": ("rwkv7", lambda t, q: rwkv7.step(q, t.log_w, t.key, _ZERO, t.key, np.full(_R, t.gate), _EYE)),
    "Mamba-3": ("mamba3", _mamba3),
}


def transitions(member: str) -> np.ndarray:
    """A_t of `_TOKENS` random tokens, (tokens, r, r), read off the member's own step: row i is what e_i reads of A_t I.

    Raises ValueError for a member that is none or has no transition.
    """
    _, read = MEMBERS.get(member, ("", None))
    if read is None:
        known = ", ".join(name for name, (_, step) in MEMBERS.items() if step)
        raise ValueError(f"member is {member!r}: expected one of {known}")
    rng = np.random.default_rng(17)
    return np.array([[read(token, e)[0] for e in _EYE] for token in (_Token(rng) for _ in range(_TOKENS))])


def numbers(member: str) -> Numbers:
    """What the table says of a member. Raises ValueError for one that is not in it."""
    if member not in MEMBERS:
        raise ValueError(f"member is {member!r}: expected one of {', '.join(MEMBERS)}")
    mixer, read = MEMBERS[member]
    form = "recurrent" if read else "parallel"
    before, after = (flops(mixer, form, n, WIDTH, WIDTH) for n in (LENGTH - 1, LENGTH))
    cost = after - before - (WIDTH**2 if member.startswith("DeltaNet") else 0)  # the formula decays, it does not
    state = carried(mixer, LENGTH, WIDTH, WIDTH)
    if read is None:
        return Numbers(state, cost, None, None)
    A = transitions(member)
    flip = max(0.0, -np.linalg.eigvals(A).real.min())
    return Numbers(state, cost, float(flip), not np.allclose(A[:, None] @ A, A @ A[:, None]))
