"""What every mixer costs in every form: FLOPs and numbers held by formulas, and operations counted by doing them.

flops("ssd", "chunkwise", N=1024, d_k=64, d_v=64)    by the formula in the catalogue of `mixers`
count(function, *args)                               by running a function on arrays that keep a tally
metered(array, meter)                                arrays that allow only so much work

All formulas are for one head of one sequence; `formulas` says what is counted. Introduced in 03b_duality and
03c_family, used by 05a_cost.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .formulas import Size, Work
from .mixers import FORMS, get


def work(mixer: str, form: str, N: int, d_k: int, d_v: int, c: int = 64) -> Work:
    """FLOPs of one head of one sequence, those of matrix products apart; the form `step` is one token after N - 1.

    Raises ValueError for a mixer or form there is no formula of.
    """
    return get(mixer).work(form, Size(N, d_k, d_v, c))


def flops(mixer: str, form: str, N: int, d_k: int, d_v: int, c: int = 64) -> int:
    """All FLOPs of `work`."""
    return round(work(mixer, form, N, d_k, d_v, c).total)


def carried(mixer: str, N: int, d_k: int, d_v: int) -> int:
    """Numbers carried from token to token when decoding, after N tokens: the state, or the KV cache."""
    return get(mixer).carried(N, d_k, d_v)


def held(form: str, N: int, d_k: int, d_v: int, c: int = 64) -> int:
    """Numbers that exist at one time besides inputs and outputs, where all chunks are worked on together."""
    numbers = {"parallel": N * N, "recurrent": d_k * d_v, "chunkwise": N * min(c, N) + -(-N // c) * d_k * d_v}
    if form not in numbers:
        raise ValueError(f"form is {form!r}: expected one of {', '.join(FORMS)}")
    return numbers[form]


_ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide, np.square)


@dataclass
class Tally:
    """What was done: FLOPs (a multiplication, addition, subtraction or division is one), and exponentials."""

    flops: int = 0
    in_matmul: int = 0  # those FLOPs that matrix products did
    exponentials: int = 0
    sizes: set[int] = field(default_factory=set, compare=False)  # of the results of products and arithmetic

    def charge(self, ufunc: np.ufunc | None, inputs: list[np.ndarray], result: np.ndarray) -> None:
        if ufunc is np.matmul:
            self.in_matmul += 2 * result.size * inputs[0].shape[-1]
            self.flops += 2 * result.size * inputs[0].shape[-1]
        elif ufunc in _ARITHMETIC:
            self.flops += result.size
        elif ufunc is np.exp:
            self.exponentials += result.size
        if ufunc is np.matmul or ufunc in _ARITHMETIC:
            self.sizes.add(result.size)


def count(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Tally:
    """Call `function` and count what it does with its arrays and with all that is computed from them.

    A product (n, m) @ (m, p) is 2nmp FLOPs; an addition, subtraction, multiplication, division or square is one for
    each entry of its result. Sums over an axis, changes of sign, other powers and comparisons are not counted, nor is
    anything that NumPy does outside its universal functions (`np.outer`, `np.einsum`, `np.linalg.solve`).
    """
    tally = Tally()

    def counted(value: Any) -> Any:
        return metered(value, tally) if isinstance(value, np.ndarray) else value

    function(*map(counted, args), **{name: counted(value) for name, value in kwargs.items()})
    return tally


class TooMuchWork(Exception):
    """An answer has computed with more numbers than its exercise allows."""


class Meter:
    """A budget of numbers to compute with, shared by the arrays of one case."""

    def __init__(self, budget: int, advice: str) -> None:
        self.left, self.advice = budget, advice

    def charge(self, ufunc: np.ufunc | None, inputs: list[np.ndarray], result: np.ndarray) -> None:
        if ufunc is np.matmul:
            self.left -= inputs[0].shape[-1] * result.size
        else:
            self.left -= max(x.size for x in (*inputs, result))
        if self.left < 0:
            raise TooMuchWork(self.advice)


class Metered(np.ndarray):
    """An array whose operations, and those of all that is computed from it, are charged to a `Meter` or `Tally`.

    To a `Meter` an operation entry by entry costs as many numbers as it reads or makes, whichever are more, a product
    (n, m) @ (m, p) costs n·m·p. A deep copy starts with a copy of the meter, the same for all arrays copied at once.
    """

    meter: Meter | Tally
    __array_priority__ = 1.0  # what is joined from such arrays and plain ones is such an array

    def __array_finalize__(self, obj: Any) -> None:
        self.meter = getattr(obj, "meter", None)  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any] | None) -> "Metered":
        return metered(np.array(self), copy.deepcopy(self.meter, memo))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) for x in inputs]
        if options.get("out"):
            options["out"] = tuple(None if x is None else np.asarray(x) for x in options["out"])
        options = {name: np.asarray(x) if isinstance(x, Metered) else x for name, x in options.items()}  # `where`
        result = np.asarray(getattr(ufunc, method)(*plain, **options))
        self.meter.charge(ufunc if method == "__call__" else None, plain, result)
        return metered(result, self.meter)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        if isinstance(result, np.ndarray):
            self.meter.charge(None, [], result)
        if isinstance(result, Metered):
            result.meter = self.meter
        return result


def metered(array: np.ndarray, meter: Meter | Tally) -> Metered:
    """`array`, charged to `meter`."""
    view = np.asarray(array).view(Metered)
    view.meter = meter
    return view
