"""What all causal blocks share: one body that trains, reads a prompt and decodes.

A block writes its computation once, as `mix(x, cache) -> (y, cache)`, for a piece of the sequence of any length and
what the earlier tokens left in the cache. `forward` calls it on the whole sequence, `step` on one token. Both run the
same lines, so a sequence cut anywhere gives the same numbers up to rounding.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..ops.validation import shapes_checked, state_dtype

Sequence = Float[Tensor, "batch time d_model"]
Token = Float[Tensor, "batch d_model"]


class Mixer(nn.Module, ABC):
    """A causal block: y_t depends on x_0 … x_t and on nothing later.

        forward(x: (batch, time, d_model)) -> y
        init_cache(batch) -> cache                       the cache before the first token
        step(x_t: (batch, d_model), cache) -> (y_t, cache)
        mix(x: (batch, time, d_model), cache) -> (y, cache)

    A cache is a tensor or a tuple of tensors with the batch first. It is never written to, so decoding can go on from
    an old one. Its size does not depend on how many tokens were read, except in `Attention`.

    Errors: a wrong number of axes raises jaxtyping's TypeCheckError (a TypeError); a last axis other than d_model, or
    no tokens, raises TypeError; a cache made for another batch size raises ValueError.
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.d_model = d_model

    @abstractmethod
    def init_cache(self, batch: int) -> Any:
        """The cache before the first token."""

    @abstractmethod
    def mix(self, x: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """The block on the tokens x: (batch, time, d_model) that follow those the cache has seen."""

    def zeros(self, *shape: int) -> Tensor:
        """A state before the first token, on the device of the parameters."""
        weight = next(self.parameters())
        return weight.new_zeros(shape, dtype=state_dtype(weight.dtype))

    @shapes_checked
    def forward(self, x: Sequence) -> Sequence:
        """The block on a whole sequence."""
        check_features(self.d_model, x=x)
        return self.mix(x, self.init_cache(len(x)))[0]

    @shapes_checked
    def step(self, x_t: Token, cache: Any) -> tuple[Token, Any]:
        """The block on the next token; returns (y_t, cache)."""
        check_features(self.d_model, x_t=x_t)
        check_cache(cache, x_t=x_t)
        y, cache = self.mix(x_t[:, None], cache)
        return y[:, 0], cache


class ConvCache(NamedTuple):
    """The cache of a block with a short convolution before its recurrence."""

    window: Tensor  # (batch, d_conv - 1, channels): the last tokens that went into the convolution
    state: Any  # (batch, …): what the recurrence remembers, a tensor or a tuple with some


def over_time(op: ModuleType, first: Tensor, *others: Tensor | None, state: Any, chunk_size: int) -> tuple[Tensor, Any]:
    """`op.chunkwise` of a sequence and `op.step` of a single token: the same numbers, each where it is fast.

    Sequences have three axes or more, (batch, time, …); an argument with fewer is the same for every token.
    """
    if first.shape[1] != 1:
        return op.chunkwise(first, *others, state=state, chunk_size=chunk_size)
    token = (a[:, 0] if a is not None and a.ndim > 2 else a for a in (first, *others))
    y_t, state = op.step(*token, state=state)
    return y_t[:, None], state


def check_features(d_model: int, **tensors: Tensor) -> None:
    """Raise TypeError unless the tensor has d_model entries in its last axis and is not empty."""
    ((name, value),) = tensors.items()
    if value.shape[-1] != d_model or value.numel() == 0:
        raise TypeError(
            f"{name} has shape {tuple(value.shape)}: expected {d_model}, the layer's d_model, in the last axis, and "
            "at least one token"
        )


def check_cache(cache: Any, **tensors: Tensor) -> None:
    """Raise ValueError unless the cache was made for the batch of the tensor."""
    ((name, value),) = tensors.items()
    for part in _tensors(cache):
        if len(part) != len(value):
            raise ValueError(
                f"cache is for a batch of {len(part)} while {name} has {len(value)}: "
                f"make one with init_cache({len(value)})"
            )


def _tensors(cache: Any) -> Iterator[Tensor]:
    if isinstance(cache, Tensor):
        yield cache
    elif isinstance(cache, tuple | list):
        for part in cache:
            yield from _tensors(part)


def count_heads(head_dim: int, **sizes: int) -> int:
    """How many heads of head_dim fit; raise ValueError unless they fit exactly."""
    ((name, size),) = sizes.items()
    if head_dim < 1 or size % head_dim:
        raise ValueError(f"{name} is {size} and head_dim is {head_dim}: expected {name} to be a multiple of head_dim")
    return size // head_dim


def check_even(reason: str, **sizes: int) -> None:
    """Raise ValueError unless the size is even."""
    ((name, size),) = sizes.items()
    if size % 2:
        raise ValueError(f"{name} is {size}: expected an even number, because {reason}")


def angles(first: int, time: int, exponent: Tensor) -> Tensor:
    """position · 10000^{-exponent}, a row a token, in float64 because float32 loses the angle of a late token."""
    position = torch.arange(first, first + time, dtype=torch.float64, device=exponent.device)
    return position[:, None] * 10000**-exponent


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """The pairs (0, 1), (2, 3), … of the last axis rotated by `angle`, which has one number per pair.

    Introduced as RoPE: Su et al., arXiv 2104.09864, Section 3.
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
