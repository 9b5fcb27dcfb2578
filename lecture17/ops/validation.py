"""What the public functions of `ops` ask of their arguments.

Shapes are in the signatures and are checked by jaxtyping with beartype, as in `reference`; the functions below check
values, types and devices. A check of values takes one sum or maximum per tensor, and so reads it once; only if that
finds something wrong is the place searched for. Each check waits for a GPU once.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..reference.validation import check_at_least_one, shapes_checked

__all__ = [
    "check_alike",
    "check_backend",
    "check_chunk_size",
    "check_finite",
    "check_groups",
    "check_log_decay",
    "check_result",
    "check_within",
    "shapes_checked",
    "state_dtype",
]


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


def check_result(y: Tensor, **tensors: Tensor) -> None:
    """`check_finite` after a look at y, which is not finite if a number in one of the tensors is not."""
    if not y.detach().sum().isfinite():
        check_finite(**tensors)


def check_log_decay(**tensors: Tensor | None) -> None:
    """Raise ValueError unless each tensor (or None) holds logs of decays: at most 0, -inf allowed, no NaN."""
    for name, value in tensors.items():
        if value is None or value.numel() == 0 or value.detach().amax() <= 0:  # the maximum is NaN if any is
            continue
        bad = ~(value <= 0)
        raise ValueError(
            f"{name}{_first(bad)} is {value[bad][0].item():.6g}: expected log decays, at most 0 "
            f"(a decay is exp({name}) in [0, 1]; -inf forgets everything)"
        )


def check_within(low: float, high: float, **tensors: Tensor) -> None:
    """Raise ValueError naming the first of `tensors` with a number that is not in [low, high]."""
    for name, value in tensors.items():
        if value.numel() == 0:
            continue
        least, most = value.detach().aminmax()  # both are NaN if any number is
        if low <= least and most <= high:
            continue
        bad = ~((value >= low) & (value <= high))
        raise ValueError(f"{name}{_first(bad)} is {value[bad][0].item():.6g}: expected numbers in [{low:g}, {high:g}]")


def check_chunk_size(chunk_size: int) -> None:
    """Raise ValueError unless chunk_size is at least 1."""
    check_at_least_one(chunk_size=chunk_size)


def check_groups(heads: int, groups: int) -> None:
    """Raise ValueError unless the heads divide evenly among the groups of B and C."""
    if groups < 1 or heads % groups:
        raise ValueError(
            f"B and C have {groups} groups for the {heads} heads of x: expected heads to be a multiple of groups "
            "(head h uses group h // (heads // groups))"
        )


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that sums and states have: float32 for the 16-bit types, else the type itself."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def check_alike(decays: dict[str, Tensor | None] | None = None, state: Any = None, **tensors: Tensor) -> None:
    """Raise ValueError unless all tensors share one type and one device.

    `decays` may also have the type of the state, because log decays lose too much in 16 bits: a layer in bfloat16
    passes them in float32. `state` (a tensor, a tuple of tensors, or None) must have that type.
    """
    (first, model), *others = tensors.items()
    wide = state_dtype(model.dtype)
    states = state if isinstance(state, tuple) else (state,)
    asked = [(name, value, {model.dtype}) for name, value in others]
    asked += [(name, value, {model.dtype, wide}) for name, value in (decays or {}).items() if value is not None]
    asked += [("state", value, {wide}) for value in states if value is not None]
    for name, value, dtypes in asked:
        if value.dtype not in dtypes:
            expected = " or ".join(sorted(map(str, dtypes)))
            raise ValueError(
                f"{name} is of type {value.dtype} while {first} is {model.dtype}: expected {expected}; "
                f"convert with {name}.to({wide if name == 'state' else model.dtype})"
            )
        if value.device != model.device:
            raise ValueError(
                f"{name} is on {value.device} while {first} is on {model.device}: expected one device; "
                f'move it with {name}.to("{model.device}")'
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
        return import_module(f"{__package__}.kernels.{mixer}")
    if backend == "auto":
        return None
    raise ValueError(
        f'backend="triton" cannot run for {tensor.dtype} tensors on {tensor.device}: expected a mixer with kernels '
        "(ssd, gla, rwkv7), float32 or bfloat16, a CUDA device of compute capability 8.0 or higher (or Triton's "
        "interpreter: set TRITON_INTERPRET=1 before Python starts), and Triton, which is made for Linux; "
        'backend="torch" runs anywhere'
    )
