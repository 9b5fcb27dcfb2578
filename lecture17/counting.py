"""Operations counted by doing them: run a function on arrays that keep a tally. Introduced in 03c_family."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide)


@dataclass
class Tally:
    """What was done: FLOPs (a multiplication, addition, subtraction or division is one), and exponentials."""

    flops: int = 0
    in_matmul: int = 0  # those FLOPs that matrix products did
    exponentials: int = 0
    sizes: set[int] = field(default_factory=set, compare=False)  # of the results of products and arithmetic


def count(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Tally:
    """Call `function` and count what it does with its arrays and with all that is computed from them.

    A product (n, m) @ (m, p) is 2nmp FLOPs, an operation entry by entry one for each entry of its result. Sums over an
    axis, square roots and comparisons are not counted, nor is anything that NumPy does outside its universal functions
    (`np.outer`, `np.einsum`, `np.linalg.solve`).
    """
    tally = Tally()

    class Counted(np.ndarray):
        __array_priority__ = 1.0  # what is joined from counted and plain arrays is counted

        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
            out = options.pop("out", None)
            plain = [np.asarray(x) for x in inputs]
            result = np.asarray(getattr(ufunc, method)(*plain, **options))
            if method == "__call__":
                if ufunc is np.matmul or ufunc in _ARITHMETIC:
                    tally.sizes.add(result.size)
                if ufunc is np.matmul:
                    tally.flops += 2 * result.size * plain[0].shape[-1]
                    tally.in_matmul += 2 * result.size * plain[0].shape[-1]
                elif ufunc in _ARITHMETIC:
                    tally.flops += result.size
                elif ufunc is np.exp:
                    tally.exponentials += result.size
            if out is not None:  # y += x, and the like
                np.asarray(out[0])[...] = result
                return out[0]
            return result.view(Counted)

    def counted(value: Any) -> Any:
        return value.view(Counted) if isinstance(value, np.ndarray) else value

    function(*map(counted, args), **{name: counted(value) for name, value in kwargs.items()})
    return tally
