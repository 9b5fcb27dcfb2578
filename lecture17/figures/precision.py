"""What floating point does to a decay: generators that leave its range, differences that lose its digits."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._picture import Picture
from ._style import DIAGONAL, NEUTRAL, STATE, styled


@styled
def generator_range(
    log10_u: np.ndarray, log10_v: np.ndarray, state: np.ndarray, dtype: type[np.floating], *, title: str
) -> Picture:
    """Sizes of generators, as logs because no `dtype` number holds them, and of the `state`, against its range."""
    limits = np.finfo(dtype)
    top, bottom = np.log10(float(limits.max)), np.log10(float(limits.smallest_subnormal))
    over, under = int(np.argmax(log10_v > top)), int(np.argmax(log10_u < bottom))
    picture = Picture(
        title,
        f"Sizes against the token, on a logarithmic axis: the generator v grows beyond the largest {limits.dtype} "
        f"number at token {over}, the generator u falls below the smallest at token {under}, the state stays between "
        f"{np.abs(state).min():.0e} and {np.abs(state).max():.0e} over all {len(state)} tokens.",
        size=(8.5, 3.8),
    )
    ax = picture.subplots()
    ax.axhspan(bottom, top, color="0.93", label=f"what {limits.dtype} can hold")
    ax.plot(log10_v, color=NEUTRAL, label="generator v")
    ax.plot(log10_u, color=NEUTRAL, linestyle="--", label="generator u")
    ax.plot(np.log10(np.abs(state)), color=STATE, linewidth=0.8, label="state")
    ax.plot([over, under], [top, bottom], "o", color="black", fillstyle="none", markersize=9)
    ax.annotate(f"token {over}", (over, top), (12, 2), textcoords="offset points")
    ax.annotate(f"token {under}", (under, bottom), (12, -6), textcoords="offset points")
    ax.set(xlabel="token", ylabel="size, as a power of ten", xlim=(0, len(state)), ylim=(2.2 * bottom, 2.2 * top))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return picture


@styled
def error_growth(lengths: Sequence[int], errors: Mapping[str, Sequence[float]], *, title: str) -> Picture:
    """Largest errors against the number of tokens, a line for each of two ways to compute the same."""
    picture = Picture(
        title,
        f"Largest error of the decay mask against the number of tokens from {lengths[0]} to {lengths[-1]}, both axes "
        "logarithmic: " + "; ".join(f"{name}, from {e[0]:.0e} to {e[-1]:.0e}" for name, e in errors.items()) + ".",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    for (name, error), color, marker in zip(errors.items(), (NEUTRAL, DIAGONAL), "os", strict=True):
        ax.plot(lengths, error, marker + "-", color=color, label=name)
    ax.axhline(float(np.finfo(np.float32).eps), linestyle=":", color="black", label="spacing of float32 numbers at 1")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="tokens N", ylabel="largest error of L")
    ax.set_xticks(lengths, [str(N) for N in lengths])
    ax.legend()
    return picture
