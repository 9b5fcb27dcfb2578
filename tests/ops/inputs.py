"""Batches of the arguments that `tests.strategies` draws for one head, and the reference's answer for each head.

`MIXERS[name].draw(...)` returns a `Batch`. The heads of a batch have numbers of their own; B and C are shared by the
heads of a group where the mixer has groups; arguments without a time axis are the same for all sequences.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests import strategies
from tests.strategies import DECAYS, Args

Form = Callable[..., tuple[Tensor, Any]]


@dataclass(frozen=True)
class OpsMixer:
    """How arguments of one head become those of a batch."""

    one_head: strategies.Mixer
    grouped: tuple[str, ...] = ()  # arguments with groups where others have heads
    heads: bool = True  # False: the channels of the reference are the only features

    @property
    def module(self) -> ModuleType:
        return import_module(f"lecture17.ops.{self.one_head.module}")

    @property
    def reference(self) -> ModuleType:
        return import_module(f"lecture17.reference.{self.one_head.module}")

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
        names = list(self.one_head.draw(np.random.default_rng(), 0, 1, 1, "keep"))
        values = dict(zip(names, args, strict=False))
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
        if not self.heads:
            heads = groups = 1
        drawn = [[self.one_head.draw(rng, N, d_k, d_v, decays) for _ in range(heads)] for _ in range(batch)]
        for b in range(batch):
            for h in range(heads):
                for name in self.grouped:
                    drawn[b][h][name] = drawn[b][h - h % (heads // groups)][name]
                for name in self.one_head.fixed:
                    drawn[b][h][name] = drawn[0][h][name]
        return Batch(self, drawn, groups)


@dataclass(frozen=True)
class Batch:
    """Arguments of every head of every sequence."""

    mixer: OpsMixer
    drawn: list[list[Args]]  # [batch][head]
    groups: int

    @cached_property
    def args(self) -> dict[str, Any]:
        """The arguments of `lecture17.ops`, in the order of the call, float64."""
        return {name: self._stacked(name) for name in self.drawn[0][0]}

    def _stacked(self, name: str) -> Any:
        per_head = [[head[name] for head in heads] for heads in self.drawn]
        if isinstance(per_head[0][0], bool):
            return per_head[0][0]
        if not self.mixer.heads:
            return torch.tensor(per_head[0][0] if name in self.mixer.one_head.fixed else np.array(per_head)[:, 0])
        if name in self.mixer.one_head.fixed:
            return torch.tensor(np.array(per_head[0]))
        if name in self.mixer.grouped:
            per_head = [heads[:: len(heads) // self.groups] for heads in per_head]
        return torch.tensor(np.array(per_head)).movedim(1, 2).contiguous()

    @cached_property
    def wanted(self) -> tuple[Tensor, Any]:
        """What `recurrent` of the reference says, batched."""
        found = [[self.mixer.reference.recurrent(*head.values()) for head in heads] for heads in self.drawn]
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


MIXERS = {
    "linear_attention": OpsMixer(strategies.MIXERS["linear_attention"]),
    "linear_attention_normalized": OpsMixer(strategies.MIXERS["linear_attention_normalized"]),
    "ssd": OpsMixer(strategies.MIXERS["ssd"], grouped=("B", "C")),
    "retention": OpsMixer(strategies.MIXERS["retention"]),
    "gla": OpsMixer(strategies.MIXERS["gla"]),
    "delta_rule": OpsMixer(strategies.MIXERS["delta_rule"]),
    "delta_rule_gated": OpsMixer(strategies.MIXERS["delta_rule_gated"]),
    "rwkv7": OpsMixer(strategies.MIXERS["rwkv7"]),
    "selective_scan": OpsMixer(strategies.MIXERS["selective_scan"], heads=False),
    "mamba3": OpsMixer(strategies.MIXERS["mamba3"], grouped=("B", "C")),
    "wkv4": OpsMixer(strategies.MIXERS["wkv4"], heads=False),
}


@dataclass(frozen=True)
class Case:
    """Arguments of one call, a chunk size, and a place to cut them in two."""

    batch: Batch
    chunk_size: int
    split: int


@st.composite
def cases(draw: st.DrawFn, mixer: OpsMixer, max_N: int = 40) -> Case:
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
    """The largest size in each of what stands at the top level, y and state say, once for each of its tensors."""
    groups = [parts(part) for part in result] if isinstance(result, tuple) else [[t] for t in parts(result)]
    largest = [max((t.abs().max().item() for t in group if t.numel()), default=0.0) or 1.0 for group in groups]
    return [size for size, group in zip(largest, groups, strict=True) for _ in group]


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
