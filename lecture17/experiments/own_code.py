"""A model whose mixers run your own NumPy, one head at a time, and what they are given. Introduced in 04e_published.

with swapped(ssd, mine):                    every block that calls `ops.ssd` now calls mine(x, log_a, B, C, S)
    text = model.generate(prompt, 40)
layers = recorded(ssd, model, tokens)       the arguments of `ops.ssd` in each block, in the order of the stack
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

Scan = Callable[..., tuple[np.ndarray, np.ndarray]]


@contextmanager
def swapped(op: ModuleType, mine: Scan) -> Iterator[None]:
    """Inside, `op.chunkwise` and `op.step` are `mine`, for whole sequences and for single tokens.

    mine takes the arguments of `op` for one head in float64, (N, d) or (N,), and the state before, (d_k, d_v); it
    returns the outputs (N, d_v) and the state after. A head of queries takes its group's, as in `op`.
    Raises RuntimeError at the end if nothing called `op`: then the results are not those of `mine`.
    """
    called = False

    def chunkwise(*arguments: Tensor | None, state: Tensor, chunk_size: int = 0, backend: str = "auto") -> Any:
        nonlocal called
        called = True
        n_heads = state.shape[1]
        given = [a if a is None else a.detach().double().numpy() for a in arguments]
        before = state.detach().double().numpy()
        outputs, states = [], []
        for b in range(len(before)):
            for h in range(n_heads):
                heads = (a if a is None else a[b, :, h * a.shape[2] // n_heads] for a in given)
                y, S = mine(*heads, before[b, h])
                outputs.append(torch.from_numpy(np.ascontiguousarray(y)))
                states.append(torch.from_numpy(np.ascontiguousarray(S)))
        y = torch.stack(outputs).unflatten(0, (len(before), n_heads)).transpose(1, 2)  # (b, t, h, p)
        after = torch.stack(states).view(state.shape)
        return y.to(next(a.dtype for a in arguments if a is not None)), after.to(state.dtype)

    def step(*arguments: Tensor | None, state: Tensor) -> Any:
        y, after = chunkwise(*(a if a is None else a[:, None] for a in arguments), state=state)
        return y[:, 0], after

    with patch.object(op, "chunkwise", chunkwise), patch.object(op, "step", step):
        yield
    if not called:
        raise RuntimeError(f"nothing inside `swapped` called {op.__name__}: expected a model with blocks that call it")


@torch.no_grad()
def recorded(op: ModuleType, model: nn.Module, tokens: Tensor) -> list[tuple[Any, ...]]:
    """The arguments with which a model reads a text, for each of its blocks that calls `op.chunkwise`."""
    seen, original = [], op.chunkwise

    def chunkwise(*arguments: Any, **options: Any) -> Any:
        seen.append(arguments)
        return original(*arguments, **options)

    with patch.object(op, "chunkwise", chunkwise):
        model(tokens)
    return seen
