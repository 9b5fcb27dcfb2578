"""One assertion for every notebook: two views of the same thing are the same numbers. Introduced in 00_quickstart."""

import numpy as np
from numpy.typing import ArrayLike


def assert_same(*, tol: float = 1e-10, **named: ArrayLike) -> None:
    """Assert that the arrays are equal up to rounding, and print one line that says so.

        largest |other - first|  ≤  tol · largest |first|      for each array after the first

    The keywords name what is compared: `assert_same(parallel=y1, recurrent=y2)`. Equal infinities are equal;
    a NaN is equal to nothing. The printed line states the tolerance and not the error, so it never varies.

    Raises AssertionError naming the array, the largest difference and its index, or the two shapes;
    ValueError when there are fewer than two arrays to compare.
    """
    if len(named) < 2:
        raise ValueError(f"got {len(named)} array(s) by name: expected at least two, as in assert_same(mine=y, loop=z)")
    floats = {name: np.multiply(np.asarray(value), 1.0) for name, value in named.items()}  # masks and counts too
    (first_name, first), *others = floats.items()
    for name, other in others:
        if other.shape != first.shape:
            raise AssertionError(f"{name} has shape {other.shape}, {first_name} has shape {first.shape}")
        _assert_close(first_name, first, name, other, tol)
    shape = " × ".join(map(str, first.shape)) or "a number"
    print(f"{' = '.join(named)}  ({shape}; relative difference at most {tol:.0e})")


def _assert_close(first_name: str, first: np.ndarray, name: str, other: np.ndarray, tol: float) -> None:
    if first.size == 0:
        return
    with np.errstate(invalid="ignore"):  # inf - inf; those that are equal count as no difference
        difference = np.where(first == other, 0.0, np.abs(other - first))
    difference[np.isnan(difference)] = np.inf
    scale = np.abs(first[np.isfinite(first)]).max(initial=0.0)
    where = np.unravel_index(np.argmax(difference), difference.shape)
    if difference[where] > tol * scale:
        index = "[" + ", ".join(map(str, where)) + "]" if where else ""
        raise AssertionError(
            f"{name} differs from {first_name}: largest difference {difference[where]:.1e} "
            f"(allowed {tol:.0e} of the largest entry, {scale:.1e}), "
            f"at {first_name}{index} = {first[where]:.6g}, {name}{index} = {other[where]:.6g}"
        )
