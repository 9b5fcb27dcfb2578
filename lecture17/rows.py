"""What a row of the catalogue says of a mixer: `Mixer`, a record that `mixers` fills in once for each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import Any, NamedTuple

import numpy as np

from .formulas import Formula, Size, Work
from .inputs import Argument, Batch, draw

FORMS = ("parallel", "recurrent", "chunkwise")
HEADS, D, CHUNK = 8, 64, 64  # the layer that is measured and weighed: heads, numbers in a value, tokens in a chunk


class Member(NamedTuple):
    """A published member of the family, for `unification`."""

    read: Callable[[Any, Any, np.ndarray], Any]  # (step, token, query): y of a token that writes nothing, state I
    saved: int = 0  # FLOPs of a token that the row's formula counts and it does not do, keys and values of 64 numbers


@dataclass(frozen=True)
class Mixer:
    """A row of the catalogue.

    name        of its modules in `reference` and `ops`
    title       what it is called in pictures
    taught      the notebook that introduces it
    arguments   of its functions, in the order of the call
    flops       a formula for each of its forms; `step` is `recurrent` of one token unless it has its own
    layers      the letters of its blocks in a `LanguageModel`, and the names of their classes
    carried     numbers carried from token to token when decoding, by N, d_k and d_v
    formula     of its matrix, in terms of the mask L and the scores; empty if it has a matrix for each channel
    scores      how its paper writes them
    members     what it is called in the table that unifies the family
    d_k         numbers in a key (for a channel: in its state) of the layer that is measured
    longest     chunk that `ops` makes on a CPU; longer ones are cut
    masks       decay masks that a head's parallel form needs; kernels: whether `ops.kernels` has Triton's for it
    modules     where they are, if not in `reference` and `ops`; functions that are elsewhere are in `functions`
    """

    name: str
    title: str
    taught: str
    arguments: Mapping[str, Argument]
    flops: Mapping[str, Formula]
    layers: Mapping[str, str] = field(default_factory=dict)
    carried: Callable[[int, int, int], int] = lambda N, d_k, d_v: d_k * d_v
    formula: str = ""
    scores: str = "Q Kᵀ"
    members: Mapping[str, Member | None] = field(default_factory=dict)
    d_k: int = D
    longest: float = math.inf
    masks: Callable[[Size], int] = lambda s: 1
    kernels: bool = False
    modules: str = "lecture17.{house}.{name}"
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(form for form in FORMS if form in self.flops)

    @property
    def trained_form(self) -> str:
        return next(form for form in ("chunkwise", "recurrent", "parallel") if form in self.flops)

    @property
    def per_channel(self) -> bool:
        """Whether it has channels with a matrix each, and no heads."""
        return not self.formula

    @property
    def grows(self) -> bool:
        """Whether it carries twice as much after twice as many tokens: it has a cache, and no state."""
        return self.carried(2**20, 1, 1) == 2 * self.carried(2**19, 1, 1)

    @property
    def kinds(self) -> set[str]:
        return {argument.kind for argument in self.arguments.values()}

    @property
    def decay(self) -> str | None:
        """The argument with its decays, or their logs."""
        return next((name for name, a in self.arguments.items() if a.kind in ("log decay", "decay")), None)

    def module(self, house: str) -> Any:
        """`lecture17.reference.<name>` or `lecture17.ops.<name>`."""
        return resolve_name(self.modules.format(house=house, name=self.name))

    def function(self, house: str, name: str) -> Callable[..., Any]:
        """`matrix`, one of the forms, or `step`."""
        return self.functions.get(name) or getattr(self.module(house), name)

    def work(self, form: str, size: Size) -> Work:
        """FLOPs of one head of one sequence. Raises ValueError for a form there is no formula of."""
        if form == "step" and form not in self.flops:
            form, size = "recurrent", replace(size, N=1)
        if form not in self.flops:
            raise ValueError(f"form is {form!r}: {self.name} has {', '.join(self.flops)}")
        return self.flops[form](replace(size, c=int(min(size.c, size.N, self.longest))))

    def draw(
        self,
        rng: np.random.Generator,
        N: int,
        d_k: int,
        d_v: int,
        decays: str = "trained",
        batch: Batch | None = None,
        dtype: Any = np.float64,
    ) -> dict[str, Any]:
        """Arguments of one head for `reference`, or of a batch for `ops`, as NumPy arrays; see `inputs`."""
        return draw(self.arguments, rng, N, d_k, d_v, decays, batch, dtype, has_heads=not self.per_channel)
