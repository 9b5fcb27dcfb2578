"""What the numbers among the arguments of `ops` must be, by the names of the arguments.

On a CPU a number that is ruled out raises ValueError with its place. A check takes one sum or maximum per tensor, and
so reads it once; only if that finds something wrong is the place searched for. To raise, Python would have to wait for
a GPU. So on every other device, and in what torch.compile or torch.export traces, the same conditions are asserted
where the numbers are: nothing waits, and a failed assertion stops the device with a message that names the argument, as
an index out of range does in PyTorch. `values_unchecked` turns all of this off.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ..reference.validation import RANGES, Range
from .type_validation import state_dtype

_checked = True


@contextmanager
def values_unchecked() -> Iterator[None]:
    """Inside, no function of `ops` looks at values: for training that has its own way with numbers out of range."""
    global _checked
    before, _checked = _checked, False
    try:
        yield
    finally:
        _checked = before


def require(name: str, holds: Tensor, expected: str, found: Callable[[], str]) -> None:
    """Raise ValueError("{found()}: expected {expected}") unless `holds`, or assert it where that would wait."""
    if not _looks_at(holds):
        torch._assert_async(holds, f"{name}: expected {expected}")
    elif not holds:
        raise ValueError(f"{found()}: expected {expected}")


def _looks_at(value: Tensor) -> bool:
    return value.device.type == "cpu" and not torch.compiler.is_compiling()


def _first(bad: Tensor) -> str:
    """The first True of `bad` as an index to print: `[0, 3, 1]`, nothing for a single number."""
    return str(bad.nonzero()[0].tolist()) if bad.ndim else ""


def check_finite(**tensors: Tensor | None) -> None:
    """Raise ValueError naming the first of `tensors` (None is passed over) with a NaN or an infinity."""
    present = {name: value.detach() for name, value in tensors.items() if value is not None and value.numel()}
    if not present or not _checked:
        return
    if not all(map(_looks_at, present.values())):
        torch._assert_async(_all_finite(present), f"{', '.join(present)}: expected finite numbers")
        return
    # A NaN or an infinity makes the sum not finite; the search below recognizes a sum that merely overflowed.
    if torch.stack([value.sum().isfinite() for value in present.values()]).all():
        return
    for name, value in present.items():
        where = ~value.isfinite()
        if where.any():
            raise ValueError(
                f"{name}{_first(where)} is {value[where][0].item()}: expected finite numbers in {name}, "
                f"{int(where.sum())} of {value.numel()} are not"
            )


def _all_finite(tensors: Mapping[str, Tensor]) -> Tensor:
    """Without a sum, which may overflow: here nothing can be searched."""
    return torch.stack([torch.stack(value.aminmax()).isfinite().all() for value in tensors.values()]).all()


def check_result(y: Tensor, sequences: Mapping[str, Tensor | None], finite: Tensor | bool | None = None) -> Tensor:
    """`check_finite` of all but log decays by a look at y, or by `finite`, which says what that would; returns y.

    A y that overflowed, although all arguments are finite, is returned as it is.
    """
    told = {name: x for name, x in sequences.items() if not name.startswith("log_")}
    if not _checked or y.numel() == 0:
        return y
    if not _looks_at(y):
        present = {name: x.detach() for name, x in told.items() if x is not None and x.numel()}
        if present:
            holds = _all_finite({"y": y.detach()}) | _all_finite(present)
            torch._assert_async(holds, f"{', '.join(present)}: expected finite numbers")
    elif not (y.detach().sum().isfinite() if finite is None else finite):
        check_finite(**told)
    return y


def check_within(low: float, high: float, name: str, value: Tensor, words: str = "numbers in [{:g}, {:g}]") -> None:
    """Raise ValueError unless all numbers are in [low, high] and none is inf; `words` say what was expected."""

    def found() -> str:
        bad = ~((value >= low) & (value <= high) & (value < torch.inf))
        return f"{name}{_first(bad)} is {value[bad][0].item():.6g}"

    if _checked and value.numel():
        require(name, _within(low, high, value), words.format(low, high), found)


def _within(low: float, high: float, value: Tensor) -> Tensor:
    """Both extremes are NaN if any number is."""
    if low == -torch.inf:
        most = value.detach().amax()
        return (most <= high) & (most < torch.inf)
    least, most = value.detach().aminmax()
    return (low <= least) & (most <= high) & (most < torch.inf)


def check_unit(name: str, keys: Tensor) -> None:
    """Raise ValueError unless each of the keys has length 1 or 0."""

    def found() -> str:
        check_finite(**{name: keys})
        length = _lengths(keys)
        wrong = ~_unit(length, keys.dtype)
        return f"{name}{_first(wrong)} has length {length[wrong][0].item():.6g}"

    if _checked and keys.numel():
        holds = _unit(_lengths(keys), keys.dtype).all()
        require(name, holds, "length 1 (or 0); divide each key by its norm", found)


def _lengths(keys: Tensor) -> Tensor:
    return torch.linalg.vector_norm(keys.detach(), dim=-1, dtype=state_dtype(keys.dtype))


def _unit(length: Tensor, dtype: torch.dtype) -> Tensor:
    return (length == 0) | ((length - 1).abs() <= (1e-4 if dtype.itemsize > 2 else 1e-2))


def check_values(ranges: Mapping[str, Range] = RANGES, /, **tensors: Tensor | None) -> None:
    """Raise ValueError for the first of `tensors` (None is passed over) with a number that its name rules out.

    Those in `ranges` keep to them; other log_… and w are logs of decays, at most 0, -inf allowed; the rows of kappa
    have length 1 or 0. Other numbers must be finite, too, but are not looked at here: their results tell.
    """
    for name, value in tensors.items():
        kind = name.removesuffix("_t")
        if value is None:
            continue
        if kind in ranges:
            low, high, words = ranges[kind]
            check_within(low, high, name, value, words)
        elif kind.startswith("log_") or kind == "w":
            words = f"log decays, at most 0 (a decay is exp({name}) in [0, 1]; -inf forgets everything)"
            check_within(-torch.inf, 0, name, value, words)
        elif kind == "kappa":
            check_unit(name, value)


def right_values(looked_at: Iterable[str], names: Iterable[str], pieces: Iterable[Tensor | None]) -> bool:
    """Whether `check_values` would find nothing in these of the named pieces: log decays, or kappa, on a CPU."""
    named = dict(zip(names, pieces, strict=False)) if _checked else {}
    for name in looked_at:
        piece = named.get(name)
        if piece is not None:
            right = _unit(_lengths(piece), piece.dtype).all() if name == "kappa" else _within(-torch.inf, 0, piece)
            if not right:
                return False
    return True
