"""What the public functions of `reference` ask of their arguments.

Shapes stand in the signatures and are checked by jaxtyping with beartype, which names the argument,
the axes and both sizes. The functions below check values.
"""

import numpy as np
from beartype import beartype
from jaxtyping import jaxtyped

shapes_checked = jaxtyped(typechecker=beartype)


def _first(bad: np.ndarray) -> str:
    """The first True of `bad` as an index to print: `[3]` or `[3, 0]`."""
    return "[" + ", ".join(str(i) for i in np.argwhere(bad)[0]) + "]"


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


def check_chunk_size(chunk_size: int) -> None:
    """Raise ValueError unless chunk_size is at least 1."""
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: expected at least 1")
