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

from ..ops.packing import Starts, by_pieces
from ..ops.validation import shapes_checked, state_dtype
from .options import options_checked

Sequence = Float[Tensor, "batch time d_model"]
Token = Float[Tensor, "batch d_model"]


class Mixer(nn.Module, ABC):
    """A causal block: y_t depends on x_0 … x_t and on nothing later.

        forward(x: (batch, time, d_model), seq_start=None) -> y
        init_cache(batch) -> cache                       the cache before the first token
        step(x_t: (batch, d_model), cache) -> (y_t, cache)
        mix(x: (batch, time, d_model), cache) -> (y, cache)

    A cache is a tensor or a tuple, whose tensors have the batch first. What it holds never changes, so decoding can go
    on from an old one. Its size does not depend on how many tokens were read, except in `Attention` without a window.

    **Packed sequences.** Where `seq_start`: (batch, time) is true, a sequence of its own begins: nothing before that
    token changes it, neither through the state nor through a convolution, a token shift or a position. See
    `lecture17.ops.packing`, whose `starts` makes it from cu_seqlens, and whose `by_pieces` says what it costs.

    Errors: a wrong number of axes raises jaxtyping's TypeCheckError (a TypeError); a last axis other than d_model, or
    no tokens, raises TypeError; no cache, or that of a block of another kind, size or type or for another batch, raises
    ValueError; so does an option that is no number of its kind, or too small.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            cls.__init__ = options_checked(cls.__init__)  # type: ignore[method-assign]

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
    def forward(self, x: Sequence, *, seq_start: Starts | None = None) -> Sequence:
        """The block on a whole sequence, or on each of those packed in it."""
        check_features(self.d_model, x=x)
        return by_pieces(lambda x: self.mix(x, self.init_cache(len(x)))[0], seq_start, x)

    @shapes_checked
    def step(self, x_t: Token, cache: Any) -> tuple[Token, Any]:
        """The block on the next token; returns (y_t, cache)."""
        check_features(self.d_model, x_t=x_t)
        check_layout(self, cache)
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
    """Raise TypeError unless the tensor has d_model entries in its last axis and holds tokens, if any sequences."""
    ((name, value),) = tensors.items()
    if value.shape[-1] != d_model or 0 in value.shape[1:]:
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


def check_layout(mixer: Mixer, cache: Any, name: str = "cache") -> None:
    """Raise ValueError unless the cache has the parts that `init_cache` of this block makes, of any batch size.

    A block with the same parts, such as the same block with other weights, cannot be told apart.
    """
    empty = mixer.init_cache(0)
    if not _alike(cache, empty):
        raise ValueError(
            f"{name} is {_described(cache)}: expected what init_cache of this {type(mixer).__name__} makes, "
            f"{_described(empty)} with a batch in the place of each first 0"
        )


def _alike(cache: Any, empty: Any) -> bool:
    """An axis that begins empty may grow; under autocast a float32 part may have become one of 16 bits."""
    if isinstance(empty, Tensor) and isinstance(cache, Tensor):
        sizes = zip(cache.shape[1:], empty.shape[1:], strict=False)
        narrowed = empty.dtype == torch.float32 and cache.is_floating_point() and cache.dtype.itemsize == 2
        return (
            cache.ndim == empty.ndim
            and all(size in (found, 0) for found, size in sizes)
            and (cache.dtype == empty.dtype or narrowed)
            and cache.device == empty.device
        )
    if isinstance(empty, tuple | list) and isinstance(cache, type(empty)):
        return len(cache) == len(empty) and all(map(_alike, cache, empty))
    return empty is None or isinstance(cache, type(empty))  # None: what is filled in later


def _described(cache: Any) -> str:
    if isinstance(cache, Tensor):
        return f"{cache.dtype} {tuple(cache.shape)} on {cache.device}"
    if isinstance(cache, tuple | list):
        return f"{type(cache).__name__}({', '.join(map(_described, cache))})"
    return repr(cache)


def _tensors(cache: Any) -> Iterator[Tensor]:
    if isinstance(cache, Tensor):
        yield cache
    elif isinstance(cache, tuple | list):
        for part in cache:
            yield from _tensors(part)


def count_heads(head_dim: int, n_heads: int | None = None, **sizes: int) -> int:
    """n_heads if given, else how many heads of head_dim fit; raise ValueError unless they fit exactly."""
    if n_heads is not None:
        if n_heads < 1:
            raise ValueError(f"n_heads is {n_heads}: expected at least 1")
        return n_heads
    ((name, size),) = sizes.items()
    if head_dim < 1 or size % head_dim:
        raise ValueError(f"{name} is {size} and head_dim is {head_dim}: expected {name} to be a multiple of head_dim")
    return size // head_dim


def check_even(reason: str, **sizes: int) -> None:
    """Raise ValueError unless the size is even."""
    ((name, size),) = sizes.items()
    if size % 2:
        raise ValueError(f"{name} is {size}: expected an even number, because {reason}")


def angles(first: int, time: int, exponent: Tensor, base: float = 10000.0) -> Tensor:
    """position · base^{-exponent}, a row a token, in float64 because float32 loses the angle of a late token."""
    position = torch.arange(first, first + time, dtype=torch.float64, device=exponent.device)
    return position[:, None] * base**-exponent


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """The pairs (0, 1), (2, 3), … of the last axis rotated by `angle`, which has one number per pair.

    Introduced as RoPE: Su et al., arXiv 2104.09864, Section 3.
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
