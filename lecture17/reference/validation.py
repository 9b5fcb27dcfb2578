"""What the public functions of `reference` ask of their arguments.

Shapes stand in the signatures and are checked by jaxtyping with beartype, which names the argument,
the axes and both sizes. Values are checked by the names of the arguments, which mean the same in all modules.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import jaxtyped

# NumPy's scalars count as Python's numbers, and 1 as 1.0.
_NUMBERS: FrozenDict = FrozenDict({int: int | np.integer, float: float | int | np.number})
shapes_checked = jaxtyped(typechecker=beartype(conf=BeartypeConf(hint_overrides=_NUMBERS)))

RANGES = {"delta": (0, np.inf), "lam": (0, 1), "A": (-np.inf, 0), "gamma": (0, 1)}

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


def _check_values(**arguments: Any) -> None:
    """Raise ValueError for an array with values that the name of its argument rules out.

    log_… and w are logs of decays, at most 0, -inf allowed; those in `RANGES` keep to them; all others are finite, and
    the rows of kappa have length 1 or 0.
    """
    for name, value in arguments.items():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, np.ndarray) or name in RANGES:
                _check(name, np.asarray(part))


checked = also_checked_by(_check_values)


def _check(name: str, value: np.ndarray) -> None:
    if name.startswith("log_") or name == "w":
        bad = ~(value <= 0)
        expected = f"log decays, at most 0 (a decay is exp({name}) in [0, 1]; -inf forgets everything)"
    elif name in RANGES:
        low, high = RANGES[name]
        bad = ~((value >= low) & (value <= high) & np.isfinite(value))
        expected = f"numbers in [{low:g}, {high:g}]"
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
