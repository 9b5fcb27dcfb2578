"""What the public functions of `reference` ask of their arguments.

Shapes are in the signatures and are checked by jaxtyping with beartype, which names the argument, the axes
and both sizes. The functions below check values.
"""

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import jaxtyped

# NumPy's scalars count as Python's numbers, and 1 as 1.0.
_NUMBERS: FrozenDict = FrozenDict({int: int | np.integer, float: float | int | np.number})
shapes_checked = jaxtyped(typechecker=beartype(conf=BeartypeConf(hint_overrides=_NUMBERS)))


def _first(bad: np.ndarray) -> str:
    """The first True of `bad` as an index to print: `[3]` or `[3, 0]`, nothing for a single number."""
    return "[" + ", ".join(str(i) for i in np.argwhere(bad)[0]) + "]" if bad.ndim else ""


def check_finite(**arrays: np.ndarray | None) -> None:
    """Raise ValueError naming the first of `arrays` (None is passed over) with a NaN or an infinity."""
    for name, value in arrays.items():
        if value is not None and not np.isfinite(value).all():
            where = ~np.isfinite(value)
            raise ValueError(
                f"{name}{_first(where)} is {value[where][0]}: expected finite numbers in {name}, "
                f"{where.sum()} of {value.size} are not"
            )


def check_log_decay(**arrays: np.ndarray) -> None:
    """Raise ValueError unless each array holds logs of decays: at most 0, -inf allowed, no NaN."""
    for name, value in arrays.items():
        bad = ~(value <= 0)
        if bad.any():
            raise ValueError(
                f"{name}{_first(bad)} is {value[bad][0]:.6g}: expected log decays, at most 0 "
                f"(a decay is exp({name}) in [0, 1]; -inf forgets everything)"
            )


def check_within(low: float, high: float, **arrays: np.ndarray) -> None:
    """Raise ValueError naming the first of `arrays` with a number that is not in [low, high]."""
    for name, value in arrays.items():
        bad = ~((value >= low) & (value <= high))
        if bad.any():
            raise ValueError(f"{name}{_first(bad)} is {value[bad][0]:.6g}: expected numbers in [{low:g}, {high:g}]")


def check_at_least_one(**counts: int) -> None:
    """Raise ValueError naming the first of `counts` that is less than 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}: expected at least 1")
