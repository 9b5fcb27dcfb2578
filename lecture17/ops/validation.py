"""What the public functions of `ops` ask of their arguments.

Shapes are in the signatures and are checked by jaxtyping with beartype, as in `reference`; the functions below check
types and devices, `value_validation.py` what the numbers are, and `type_validation.py` says what autocast does.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial, wraps
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from ..reference import validation
from ..reference.validation import (
    ABOVE_0,
    AT_LEAST_0,
    FINITE,
    LOG_WEIGHT,
    RANGES,
    Range,
    check_at_least_one,
)
from .kernels import kernels_of
from .type_validation import cast_once, is_wide, state_dtype
from .value_validation import check_finite, check_result, check_values, check_within

__all__ = [
    "ABOVE_0",
    "AT_LEAST_0",
    "FINITE",
    "LOG_WEIGHT",
    "check_at_least_one",
    "check_finite",
    "check_result",
    "check_within",
    "is_wide",
    "state_dtype",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def shapes_checked(function: Function) -> Function:
    """The decorator of `reference`, except that nothing is checked while torch.compile or torch.export traces.

    A tracer passes stand-ins for numbers, which are neither int nor float to a type checker.
    """
    with_checks = validation.shapes_checked(function)

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        return (function if torch.compiler.is_compiling() else with_checks)(*args, **options)

    return cast(Function, call)


def also_checked_by(check: Callable[..., None]) -> Callable[[Function], Function]:
    """A decorator for (*arguments, state=None, …) -> (y, state): `shapes_checked`, and then check(**arguments).

    Autocast is kept outside (`cast_once`), and the state that is returned is never the one given.
    """

    def decorate(function: Function) -> Function:
        names = list(inspect.signature(function).parameters)

        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            given = {name: _plain(value) for name, value in (dict(zip(names, args, strict=False)) | options).items()}
            check(**given)
            y, after = function(**given)
            return y, _apart(after, given.get("state"))

        return cast(Function, cast_once(shapes_checked(call)))

    return decorate


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's, for which PyTorch asks."""
    return value.item() if isinstance(value, np.generic) else value


def _apart(after: Any, before: Any) -> Any:
    """The state after, copied where it is the one before: no token has come between."""
    if isinstance(after, tuple) and isinstance(before, tuple):
        return tuple(map(_apart, after, before))
    return after.clone() if after is before and isinstance(after, Tensor) else after


def check_groups(heads: int, groups: int) -> None:
    """Raise ValueError unless the heads divide evenly among the groups of B and C."""
    if groups < 1 or heads % groups:
        raise ValueError(
            f"B and C have {groups} groups for the {heads} heads of x: expected heads to be a multiple of groups "
            "(head h uses group h // (heads // groups))"
        )


def check_arguments(
    state: Any = None,
    chunk_size: int = 1,
    unseen: tuple[str, ...] = (),
    *,
    ranges: Mapping[str, Range] = RANGES,
    **arguments: Any,
) -> None:
    """Raise ValueError for an argument of the wrong type, on another device, or with values that its name rules out.

    All tensors share one type and one device. What `is_wide` names may also be of the type of the state, and those of
    `state` (a tensor, or a tuple with some, or None) must be: log decays in 16 bits lose too much, so a layer in
    bfloat16 passes them in float32. The values of `unseen` arguments are checked elsewhere.
    """
    check_at_least_one(chunk_size=chunk_size)
    tensors = [(n, n.removesuffix("_t"), x) for n, x in arguments.items() if isinstance(x, Tensor) and n != "gamma"]
    first, model = next((name, x) for name, kind, x in tensors if not is_wide(kind))
    wide = state_dtype(model.dtype)
    states = [s for s in (state if isinstance(state, tuple) else (state,)) if isinstance(s, Tensor)]
    asked = [(name, x, (model.dtype, wide) if is_wide(kind) else (model.dtype,)) for name, kind, x in tensors]
    for name, value, dtypes in asked + [("state", value, (wide,)) for value in states]:
        if value.dtype not in dtypes:
            expected = " or ".join(sorted(map(str, {*dtypes})))
            raise ValueError(
                f"{name} is of type {value.dtype} while {first} is {model.dtype}: expected {expected}; "
                f"convert with {name}.to({wide if name == 'state' else model.dtype})"
            )
        if value.device != model.device:
            raise ValueError(
                f"{name} is on {value.device} while {first} is on {model.device}: expected one device; "
                f'move it with {name}.to("{model.device}")'
            )
    check_values(ranges, **{name: value for name, _, value in tensors if name not in unseen})
    for value in states:
        check_finite(state=value)


def checked_with(**ranges: Range) -> Callable[[Function], Function]:
    """A decorator: `checked` where these arguments have ranges of their own."""
    return also_checked_by(partial(check_arguments, ranges=RANGES | ranges))


checked = checked_with()


def checked_except(*unseen: str) -> Callable[[Function], Function]:
    """`checked`, but for the values of these arguments, which the function itself checks (`Block.LOOKS_AT`)."""
    return also_checked_by(partial(check_arguments, unseen=unseen))


def refuse_second_derivative(function: str, instead: str) -> None:
    """In a backward pass: raise RuntimeError if its results are to be differentiated again, and it cannot be.

    Gradients are on in a backward pass exactly with create_graph=True. PyTorch's `once_differentiable` refuses in the
    second backward pass, but only where autograd still meets it: from torch.autograd.grad it is cut off in silence.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            f"lecture17.ops.{function} has no second derivative (its backward pass was called with create_graph=True): "
            f"use {instead}"
        )


def check_backend(backend: str, tensor: Tensor, mixer: str | None = None) -> ModuleType | None:
    """The module of Triton kernels for `mixer` if `backend` selects them; None if PyTorch computes.

    "auto" selects them for float32 and bfloat16 on a GPU of compute capability 8.0 or higher. Raises ValueError if
    `backend` is unknown, or is "triton" and cannot run on the tensor.
    """
    if backend not in ("auto", "torch", "triton"):
        raise ValueError(f'backend is "{backend}": expected "auto", "torch" or "triton"')
    if backend == "torch" or (backend == "auto" and not tensor.is_cuda):
        return None
    runs = (
        torch.cuda.get_device_capability(tensor.device) >= (8, 0)
        if tensor.is_cuda
        else os.environ.get("TRITON_INTERPRET") == "1"
    )
    if mixer and runs and tensor.dtype in (torch.float32, torch.bfloat16) and find_spec("triton"):
        return kernels_of(mixer)
    if backend == "auto":
        return None
    raise ValueError(
        f'backend="triton" cannot run for {tensor.dtype} tensors on {tensor.device}: expected a mixer with kernels '
        "(ssd, gla, rwkv7), float32 or bfloat16, a CUDA device of compute capability 8.0 or higher (or Triton's "
        "interpreter: set TRITON_INTERPRET=1 before Python starts), and Triton, which is made for Linux; "
        'backend="torch" runs anywhere'
    )
