"""Arrays that allow only so much work: how the check of an exercise sees that an answer is as fast as it asks."""

import copy
from typing import Any

import numpy as np


class TooMuchWork(Exception):
    """An answer has computed with more numbers than its exercise allows."""


class Meter:
    """A budget of numbers to compute with, shared by the arrays of one case."""

    def __init__(self, budget: int, advice: str) -> None:
        self.left, self.advice = budget, advice

    def charge(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise TooMuchWork(self.advice)


class Metered(np.ndarray):
    """An array whose operations, and those of all that is computed from it, are charged to a `Meter`.

    An operation entry by entry costs as many numbers as it reads or makes, whichever are more; a matrix product
    (n, m) @ (m, p) costs n·m·p. A deep copy starts with a copy of the meter, the same for all arrays copied at once.
    """

    meter: Meter

    def __array_finalize__(self, obj: Any) -> None:
        self.meter = getattr(obj, "meter", None)  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any] | None) -> "Metered":
        return metered(np.array(self), copy.deepcopy(self.meter, memo))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) for x in inputs]
        if options.get("out"):
            options["out"] = tuple(None if x is None else np.asarray(x) for x in options["out"])
        result = np.asarray(getattr(ufunc, method)(*plain, **options))
        inner = plain[0].shape[-1] if ufunc is np.matmul else 1
        self.meter.charge(inner * max(result.size, 0 if ufunc is np.matmul else max(x.size for x in plain)))
        return metered(result, self.meter)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        if isinstance(result, np.ndarray):
            self.meter.charge(result.size)
        return result


def metered(array: np.ndarray, meter: Meter) -> Metered:
    """`array`, charged to `meter`."""
    view = np.asarray(array).view(Metered)
    view.meter = meter
    return view
