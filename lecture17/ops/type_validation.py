"""The types of numbers in `ops`: which a call may mix, which its sums have, and what autocast changes.

Under autocast the tensors of a call get autocast's type, as those of a matrix product do, except for the state and for
what `is_wide` names. Inside the call autocast is off: sums have the type of the state, in the backward pass too.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import chain
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def is_wide(kind: str) -> bool:
    """Whether a 16-bit call may have an argument of that name in float32."""
    return kind.startswith("log_") or kind in ("delta", "A", "w", "u")


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that sums and states have: float32 for the 16-bit types, else the type itself."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def _autocast_type(device: str) -> torch.dtype | None:
    """None where autocast is off."""
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None


@contextmanager
def without_autocast(device: str) -> Iterator[None]:
    """Everything in the types of its operands; a backward pass may be called where autocast is on."""
    if _autocast_type(device) is None:
        yield
    else:
        with torch.autocast(device, enabled=False):
            yield


def cast_once(function: Function) -> Function:
    """A decorator: the arguments in autocast's type, if it is on, and nothing cast inside."""
    names = list(inspect.signature(function).parameters)

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        device = next((x.device.type for x in chain(args, options.values()) if isinstance(x, Tensor)), "cpu")
        dtype = _autocast_type(device)
        if dtype is None:
            return function(*args, **options)
        given = [_cast(name, x, dtype) for name, x in zip(names, args, strict=False)]
        named = {name: _cast(name, x, dtype) for name, x in options.items()}
        with torch.autocast(device, enabled=False):
            return function(*given, *args[len(names) :], **named)

    return cast(Function, call)


def _cast(name: str, value: Any, dtype: torch.dtype) -> Any:
    """Neither float64, which autocast leaves alone, nor the state, which is float32 or a tuple."""
    casts = isinstance(value, Tensor) and value.is_floating_point() and value.dtype != torch.float64
    return value.to(dtype) if casts and name != "state" and not is_wide(name.removesuffix("_t")) else value
