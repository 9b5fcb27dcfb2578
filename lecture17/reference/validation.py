"""What the public functions of `reference` ask of their arguments.

Shapes stand in the signatures and are checked by jaxtyping with beartype, which names the argument,
the axes and both sizes. Values are checked by the names of the arguments, which mean the same in all modules but those
that say otherwise with `checked_with`.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import jaxtyped

# NumPy's scalars count as Python's numbers, and 1 as 1.0.
_NUMBERS: FrozenDict = FrozenDict({int: int | np.integer, float: float | int | np.number})
shapes_checked = jaxtyped(typechecker=beartype(conf=BeartypeConf(hint_overrides=_NUMBERS)))


class Range(NamedTuple):
    """The numbers that an argument may have. No number is inf; -inf is for logs that may be as low."""

    low: float
    high: float
    words: str = "numbers in [{:g}, {:g}]"


RANGES = {"delta": Range(0, np.inf), "lam": Range(0, 1), "A": Range(-np.inf, 0), "gamma": Range(0, 1)}
FINITE = Range(-np.inf, np.inf, "finite numbers")
AT_LEAST_0 = Range(0, np.inf)
ABOVE_0 = Range(float(np.finfo(np.float32).tiny), np.inf, "numbers above 0")
LOG_WEIGHT = Range(-np.inf, np.inf, "logs of weights of any sign below inf (-inf is a weight of 0)")

Function = TypeVar("Function", bound=Callable[..., Any])


def also_checked_by(check: Callable[..., None]) -> Callable[[Function], Function]:
    """A decorator: `shapes_checked`, and then check(**arguments)."""

    def decorate(function: Function) -> Function:
        names = list(inspect.signature(function).parameters)

        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            check(**dict(zip(names, args, strict=False)), **options)
            return function(*args, **options)

        return shapes_checked(cast(Function, call))

    return decorate


def _check_values(ranges: Mapping[str, Range], **arguments: Any) -> None:
    """Raise ValueError for an array with values that the name of its argument rules out.

    Those in `ranges` keep to them; other log_… and w are logs of decays, at most 0, -inf allowed; all others are
    finite, and the rows of kappa have length 1 or 0.
    """
    for name, value in arguments.items():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, np.ndarray) or name in ranges:
                _check(name, np.asarray(part), ranges)


def checked_with(**ranges: Range) -> Callable[[Function], Function]:
    """A decorator: `checked` where these arguments have ranges of their own."""
    return also_checked_by(partial(_check_values, RANGES | ranges))


checked = checked_with()


def _check(name: str, value: np.ndarray, ranges: Mapping[str, Range]) -> None:
    if name in ranges:
        low, high, words = ranges[name]
        may_be_low = np.isfinite(value) | (name.startswith("log_") & (value == -np.inf))
        bad = ~((value >= low) & (value <= high) & may_be_low)
        expected = words.format(low, high)
    elif name.startswith("log_") or name == "w":
        bad = ~(value <= 0)
        expected = f"log decays, at most 0 (a decay is exp({name}) in [0, 1]; -inf forgets everything)"
    else:
        bad = ~np.isfinite(value)
        expected = f"finite numbers in {name}, {bad.sum()} of {value.size} are not"
    if bad.any():
        where = "[" + ", ".join(map(str, np.argwhere(bad)[0])) + "]" if bad.ndim else ""
        raise ValueError(f"{name}{where} is {value[bad][0]:.6g}: expected {expected}")
    if name == "kappa":
        length = np.linalg.norm(value, axis=1)
        wrong = (length != 0) & (abs(length - 1) > 1e-4)
        if wrong.any():
            t = int(np.argmax(wrong))
            raise ValueError(
                f"kappa[{t}] has length {length[t]:.6g}: expected length 1 (or 0); divide each row by its norm"
            )


def check_at_least_one(**counts: int) -> None:
    """Raise ValueError naming the first of `counts` that is less than 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}: expected at least 1")
