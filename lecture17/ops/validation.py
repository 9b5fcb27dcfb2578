"""What the public functions of `ops` ask of their arguments.

Shapes are in the signatures and are checked by jaxtyping with beartype, as in `reference`; the functions below check
values, types and devices. A check of values takes one sum or maximum per tensor, and so reads it once; only if that
finds something wrong is the place searched for. Each check waits for a GPU once.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..reference.validation import (
    ABOVE_0,
    AT_LEAST_0,
    FINITE,
    LOG_WEIGHT,
    RANGES,
    Function,
    Range,
    also_checked_by,
    check_at_least_one,
    shapes_checked,
)

__all__ = ["ABOVE_0", "AT_LEAST_0", "FINITE", "LOG_WEIGHT", "check_at_least_one", "shapes_checked"]


def _first(bad: Tensor) -> str:
    """The first True of `bad` as an index to print: `[0, 3, 1]`, nothing for a single number."""
    return str(bad.nonzero()[0].tolist()) if bad.ndim else ""


def check_finite(**tensors: Tensor | None) -> None:
    """Raise ValueError naming the first of `tensors` (None is passed over) with a NaN or an infinity."""
    present = {name: value.detach() for name, value in tensors.items() if value is not None}
    # A NaN or an infinity makes the sum not finite; the search below recognizes a sum that merely overflowed.
    if not present or torch.stack([value.sum().isfinite() for value in present.values()]).all():
        return
    for name, value in present.items():
        where = ~value.isfinite()
        if where.any():
            raise ValueError(
                f"{name}{_first(where)} is {value[where][0].item()}: expected finite numbers in {name}, "
                f"{int(where.sum())} of {value.numel()} are not"
            )


def check_within(low: float, high: float, name: str, value: Tensor, words: str = "numbers in [{:g}, {:g}]") -> None:
    """Raise ValueError unless all numbers are in [low, high] and none is inf; `words` say what was expected."""
    if value.numel() == 0:
        return
    least, most = value.detach().aminmax()  # both are NaN if any number is
    if not ((low == -torch.inf or low <= least) and most <= high and most < torch.inf):
        bad = ~((value >= low) & (value <= high) & (value < torch.inf))
        what = f"{name}{_first(bad)} is {value[bad][0].item():.6g}"
        raise ValueError(f"{what}: expected {words.format(low, high)}")


def check_result(y: Tensor, sequences: Mapping[str, Tensor | None], finite: bool | None = None) -> Tensor:
    """`check_finite` of all but log decays by a look at y, or by `finite`, which says what that would; returns y."""
    if not (y.detach().sum().isfinite() if finite is None else finite):
        check_finite(**{name: x for name, x in sequences.items() if not name.startswith("log_")})
    return y


def check_groups(heads: int, groups: int) -> None:
    """Raise ValueError unless the heads divide evenly among the groups of B and C."""
    if groups < 1 or heads % groups:
        raise ValueError(
            f"B and C have {groups} groups for the {heads} heads of x: expected heads to be a multiple of groups "
            "(head h uses group h // (heads // groups))"
        )


def is_wide(kind: str) -> bool:
    """Whether a 16-bit call may have an argument of that name in float32."""
    return kind.startswith("log_") or kind in ("delta", "A", "w", "u")


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that sums and states have: float32 for the 16-bit types, else the type itself."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def check_unit(name: str, keys: Tensor) -> None:
    """Raise ValueError unless each of the keys has length 1 or 0."""
    length = torch.linalg.vector_norm(keys.detach(), dim=-1, dtype=state_dtype(keys.dtype))
    wrong = (length != 0) & ((length - 1).abs() > (1e-4 if keys.dtype.itemsize > 2 else 1e-2))
    if wrong.any():
        check_finite(**{name: keys})
        raise ValueError(
            f"{name}{_first(wrong)} has length {length[wrong][0].item():.6g}: "
            "expected length 1 (or 0); divide each key by its norm"
        )


def check_arguments(
    state: Any = None, chunk_size: int = 1, *, ranges: Mapping[str, Range] = RANGES, **arguments: Any
) -> None:
    """Raise ValueError for an argument of the wrong type, on another device, or with values that its name rules out.

    All tensors share one type and one device. What `is_wide` names may also be of the type of the state, and those of
    `state` (a tensor, or a tuple with some, or None) must be: log decays in 16 bits lose too much, so a layer in
    bfloat16 passes them in float32. Other numbers must be finite, too, but are not looked at here: their results tell.
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
    for name, kind, value in tensors:
        if kind in ranges:
            low, high, words = ranges[kind]
            check_within(low, high, name, value, words)
        elif kind.startswith("log_") or kind == "w":
            words = f"log decays, at most 0 (a decay is exp({name}) in [0, 1]; -inf forgets everything)"
            check_within(-torch.inf, 0, name, value, words)
        elif kind == "kappa":
            check_unit(name, value)
    for value in states:
        check_result(value, {"state": value})


def checked_with(**ranges: Range) -> Callable[[Function], Function]:
    """A decorator: `checked` where these arguments have ranges of their own."""
    return also_checked_by(partial(check_arguments, ranges=RANGES | ranges))


checked = checked_with()


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
        return import_module(f"{__package__}.kernels.{mixer}")
    if backend == "auto":
        return None
    raise ValueError(
        f'backend="triton" cannot run for {tensor.dtype} tensors on {tensor.device}: expected a mixer with kernels '
        "(ssd, gla, rwkv7), float32 or bfloat16, a CUDA device of compute capability 8.0 or higher (or Triton's "
        "interpreter: set TRITON_INTERPRET=1 before Python starts), and Triton, which is made for Linux; "
        'backend="torch" runs anywhere'
    )
