"""Batches of the arguments that `tests.strategies` draws for one head, and the reference's answer for each head.

`BATCHED[name].draw(...)` returns a `Batch`. The heads of a batch have numbers of their own; B and C are shared by the
heads of a group where the mixer has groups; arguments without a time axis are the same for all sequences.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from lecture17 import inputs
from tests import strategies
from tests.strategies import DECAYS, Args

Form = Callable[..., tuple[Tensor, Any]]


@dataclass(frozen=True)
class Batched:
    """How arguments of one head become those of a batch."""

    one_head: strategies.Variant

    @property
    def module(self) -> Any:
        return self.one_head.row.module("ops")

    @property
    def reference(self) -> Any:
        return self.one_head.reference

    @property
    def grouped(self) -> tuple[str, ...]:
        """Arguments with groups where others have heads."""
        return tuple(name for name, a in self.one_head.row.arguments.items() if a.shared and self.heads)

    @property
    def heads(self) -> bool:
        """False: the channels of the reference are the only features."""
        return not self.one_head.row.per_channel

    def heads_axis(self, name: str) -> int:
        """Of the heads in an argument of a batch."""
        return 0 if name in self.one_head.fixed else 1 + self.one_head.row.arguments[name].before_heads

    def forms(self, chunk_size: int) -> dict[str, Form]:
        """The functions (*args, state=None) -> (y, state)."""
        named: dict[str, Form] = {"parallel": self.module.parallel, "recurrent": self.module.recurrent}
        if self.one_head.chunkwise:
            named["chunkwise"] = lambda *args, state=None: self.module.chunkwise(
                *args, state=state, chunk_size=chunk_size
            )
        named["step"] = self._step_by_step
        return named

    def _step_by_step(self, *args: Any, state: Any = None) -> tuple[Tensor, Any]:
        values = dict(zip(self.one_head.names, args, strict=False))
        time = values[self.one_head.values].shape[1]
        if time == 0:
            return self.module.recurrent(*args, state=state)
        y = []
        for t in range(time):
            y_t, state = self.module.step(*self.cut(values, t), state=state)
            y.append(y_t)
        return torch.stack(y, 1), state

    def cut(self, values: dict[str, Any], time: slice | int) -> list[Any]:
        """The arguments of some tokens, or of one."""
        return [a if name in self.one_head.fixed or a is None else a[:, time] for name, a in values.items()]

    def draw(
        self, rng: np.random.Generator, batch: int, heads: int, groups: int, N: int, d_k: int, d_v: int, decays: str
    ) -> "Batch":
        layout = inputs.Batch(batch, heads, groups) if self.heads else inputs.Batch(batch)
        return Batch(self, self.one_head.draw(rng, N, d_k, d_v, decays, layout), layout)


@dataclass(frozen=True)
class Batch:
    """Arguments of every head of every sequence."""

    mixer: Batched
    drawn: Args  # in the shapes of `lecture17.ops`
    layout: inputs.Batch

    @cached_property
    def args(self) -> dict[str, Any]:
        """The arguments of `lecture17.ops`, in the order of the call, float64."""
        return {name: torch.tensor(a) if isinstance(a, np.ndarray) else a for name, a in self.drawn.items()}

    def head(self, sequence: int, head: int) -> list[Any]:
        """The arguments of one head for `lecture17.reference`."""
        return [self._of_head(name, a, sequence, head) for name, a in self.drawn.items()]

    def _of_head(self, name: str, a: Any, sequence: int, head: int) -> Any:
        if not isinstance(a, np.ndarray):
            return a
        if name in self.mixer.one_head.fixed:
            return a[head].item() if self.mixer.heads else a
        if name in self.mixer.grouped:
            head //= self.layout.heads // self.layout.groups
        if not self.mixer.heads:
            return a[sequence]
        return a.take(head, axis=self.mixer.heads_axis(name))[sequence]

    @cached_property
    def wanted(self) -> tuple[Tensor, Any]:
        """What `recurrent` of the reference says, batched."""
        sequences, heads, _ = self.layout
        recurrent = self.mixer.reference.recurrent
        found = [[recurrent(*self.head(b, h)) for h in range(heads)] for b in range(sequences)]
        y = torch.tensor(np.array([[y for y, _ in heads] for heads in found]))
        states = [[state for _, state in heads] for heads in found]
        if not self.mixer.heads:
            return y[:, 0], _map_parts(lambda parts: torch.tensor(np.array(parts))[:, 0], states)
        return y.movedim(1, 2), _map_parts(lambda parts: torch.tensor(np.array(parts)), states)


def _map_parts(stack: Callable[[Any], Tensor], states: list[list[Any]]) -> Any:
    """Apply `stack` to the nested list of states, or to that of each part where states are tuples."""
    first = states[0][0]
    if not isinstance(first, tuple):
        return stack(states)
    return tuple(stack([[state[i] for state in heads] for heads in states]) for i in range(len(first)))


BATCHED = {name: Batched(variant) for name, variant in strategies.VARIANTS.items()}


@dataclass(frozen=True)
class Case:
    """Arguments of one call, a chunk size, and a place to cut them in two."""

    batch: Batch
    chunk_size: int
    split: int


@st.composite
def cases(draw: st.DrawFn, mixer: Batched, max_N: int = 40) -> Case:
    """Hypothesis chooses the sizes, the decays, the chunk size and the cut; the numbers come from a seed."""
    N = draw(st.integers(0, max_N))
    groups, per_group = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]))
    d_k, d_v = draw(st.sampled_from([(1, 3), (2, 1), (3, 2), (4, 5)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    decays = draw(st.sampled_from(DECAYS))
    batch = mixer.draw(rng, draw(st.integers(1, 2)), groups * per_group, groups, N, d_k, d_v, decays)
    return Case(batch, draw(st.integers(1, max_N + 10)), draw(st.integers(0, N)))


def in_type(args: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """All tensors as numbers of this type."""
    return {name: a.to(dtype) if isinstance(a, Tensor) else a for name, a in args.items()}


def parts(result: Any) -> list[Tensor]:
    """The tensors of nested tuples, in order."""
    return [result] if isinstance(result, Tensor) else [t for part in result for t in parts(part)]


def gradients(form: Form, args: list[Any], state: Any, weights: list[Tensor]) -> list[Tensor]:
    """Of the sum of y and the last state, weighted, by all tensors among the arguments and by the first state."""
    leaves = [a.clone().requires_grad_() if isinstance(a, Tensor) else a for a in args]
    first = [a.clone().requires_grad_() for a in parts(state)]
    results = parts(form(*leaves, state=tuple(first) if isinstance(state, tuple) else first[0]))
    total = torch.stack([(r * w).sum() for r, w in zip(results, weights, strict=True)]).sum()
    return list(
        torch.autograd.grad(
            total, [a for a in leaves if isinstance(a, Tensor)] + first, allow_unused=True, materialize_grads=True
        )
    )


def scales(result: Any) -> list[float]:
    """The largest size in each of what stands at the top level, y and state say, once for each of its tensors.

    At least a hundredth of the largest of all: a short sequence's y may cancel to next to nothing.
    """
    groups = [parts(part) for part in result] if isinstance(result, tuple) else [[t] for t in parts(result)]
    largest = [max((t.abs().max().item() for t in group if t.numel()), default=0.0) or 1.0 for group in groups]
    least = max(largest, default=1.0) / 100
    return [max(size, least) for size, group in zip(largest, groups, strict=True) for _ in group]


def relative_error(got: Any, want: Any) -> float:
    """Largest difference divided by the largest size in `want`, each of y and the state by its own.

    A state of several tensors is one thing: WKV's sum of weighted values may cancel to next to nothing, where its sum
    of weights, by which it is divided, does not.
    """
    worst = 0.0
    for g, w, scale in zip(parts(got), parts(want), scales(want), strict=True):
        assert g.shape == w.shape, f"shape {tuple(g.shape)} instead of {tuple(w.shape)}"
        if w.numel():
            difference = (g.detach().to(torch.float64) - w.detach()).abs().max().item()
            worst = max(worst, difference / scale if difference == difference else float("inf"))
    return worst
